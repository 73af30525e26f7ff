"""The engine: its process, its HTTP connections, its interface and its readiness."""
