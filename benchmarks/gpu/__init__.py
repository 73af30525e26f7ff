"""What the planner assumes of a GPU, measured on one: memory of LoRA slots, and the time of a decode step.

`python -m benchmarks.gpu`, in any environment with PyTorch and CUDA; vLLM's kernels are used where vLLM is
installed.
"""
