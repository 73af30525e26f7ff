"""The order in which waiting requests go to the engine, and the limits on them; without an event loop."""
