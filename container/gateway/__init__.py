"""The process on the container's port: one request contract in front of either engine."""
