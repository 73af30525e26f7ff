"""Containers of endpoints, run as processes or in sandboxes."""
