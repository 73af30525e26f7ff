"""The sample base model and adapters that the demo and the tests serve."""
