"""Adapters on the instance: registry, download and disk cache."""
