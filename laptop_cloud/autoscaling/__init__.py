"""Application Auto Scaling: its control plane, and the loop that carries out policies and scheduled actions."""
