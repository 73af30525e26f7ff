"""Capacity planner: memory, batch, throughput, cost and the exchange between adapters and batch size."""
