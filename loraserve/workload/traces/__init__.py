"""Readers of traces, a module per format; `read.py` lists them.

A length of 0 tokens means that the trace does not contain it.
"""
