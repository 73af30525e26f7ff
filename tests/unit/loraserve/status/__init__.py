"""A stage's state, with a stubbed account."""
