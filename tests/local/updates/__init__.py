"""Updates, scaling and metrics of endpoints, in a laptop cloud with a small container."""
