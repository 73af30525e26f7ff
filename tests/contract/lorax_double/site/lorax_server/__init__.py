"""In the place and with the name of LoRAX's own package, so that what changes LoRAX changes the double."""
