"""Makes the adapter store match a stage's manifest: the custom resource behind AdapterStore."""
