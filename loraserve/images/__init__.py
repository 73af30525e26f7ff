"""Digests of the engines' base images."""
