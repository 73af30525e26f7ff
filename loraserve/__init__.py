"""What people run: the command line, the client, the benchmark, and the laptop cloud."""
