"""Proof that an adapter has an effect, and that it is the one that was published."""
