"""The sections of a stage file, one per module."""
