"""Containers of the laptop cloud."""
