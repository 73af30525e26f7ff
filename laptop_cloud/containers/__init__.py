"""Containers of endpoints, run as processes."""
