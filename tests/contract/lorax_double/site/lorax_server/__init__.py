"""Package with the path and name of LoRAX's, so that the change to LoRAX applies to the double."""
