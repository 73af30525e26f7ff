"""Request schemas: LoRAX and OpenAI."""
