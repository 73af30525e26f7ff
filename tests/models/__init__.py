"""Tiny models of many architectures: the engine of the laptop agrees with the validation of adapters."""
