"""Application Auto Scaling: its control plane, and the loop that carries its policies and schedules out."""
