"""Bill of materials and vulnerability scan of an image."""
