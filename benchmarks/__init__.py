"""Benchmarks: each figure beside the one it is to be compared with, in one run."""
