"""A new instance loads the adapters that the endpoint's other instances are asked for, before it serves."""
