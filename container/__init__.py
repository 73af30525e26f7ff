"""What runs in the serving container: one gateway, and how to start either engine behind it."""
