"""A release on its way through three accounts of a laptop cloud, with the commands that a person runs."""
