"""Sample base model and adapters for the demo and the tests."""
