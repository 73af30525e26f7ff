"""Measurements of LoRA on a GPU: memory of its slots, and the time of a decode step.

`python -m benchmarks.gpu`, in any environment with PyTorch and CUDA; vLLM's kernels are used where vLLM is
installed.
"""
