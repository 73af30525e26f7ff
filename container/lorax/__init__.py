"""LoRAX as the engine."""
