"""Serving container: one gateway, and the start-up of either engine behind it."""
