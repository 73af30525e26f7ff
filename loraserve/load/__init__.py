"""Load test of an endpoint: open loop, many adapters, every answer checked."""
