"""State of a stage at a glance: what is deployed, what serves, what is wrong, what it costs."""
