"""The one change to LoRAX. This directory is on the PYTHONPATH of LoRAX's Python, which is 3.10."""
