"""The one change to LoRAX. This directory goes onto the PYTHONPATH of LoRAX's own Python, which is 3.10."""
