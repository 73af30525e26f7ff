"""Releases: all stages of one commit in an archive, promoted from stage to stage, and the records of it."""
