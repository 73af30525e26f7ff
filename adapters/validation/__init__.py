"""Checks of an adapter against its base model and its engine."""
