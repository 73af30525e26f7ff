"""Probes: what an engine computes for a fixed text, and the conditions that it depends on."""
