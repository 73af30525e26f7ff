"""Benchmarks. Each one measures two or more alternatives in the same run and compares them."""
