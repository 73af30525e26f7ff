"""A small Hugging Face Hub on loopback, with the faults of the real one."""
