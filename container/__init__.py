"""The serving container: the gateway, and the launch, backend and image of each engine."""
