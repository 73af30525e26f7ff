"""Checks of everything that can stop a deployment: read only, each with a finding and a remedy."""
