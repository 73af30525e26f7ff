"""Autoscaling simulator: a trace and a policy in, misses and cost out."""
