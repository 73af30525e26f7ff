"""Bill of materials and vulnerability scan of a built image."""
