"""Verification of a deployed stage: the stacks, what serves, and its answers, against what was deployed."""
