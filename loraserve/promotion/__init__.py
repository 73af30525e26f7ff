"""The way of a release to a stage: checks, deployment, verification, record; and the way back."""
