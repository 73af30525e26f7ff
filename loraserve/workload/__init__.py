"""Requests over time: arrivals, lengths and adapters, drawn from a seed or read from a trace."""
