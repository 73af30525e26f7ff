"""Proof that an adapter has an effect and is the one that was published."""
