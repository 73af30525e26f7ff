"""The commands of `release`."""
