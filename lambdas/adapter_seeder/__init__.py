"""The custom resource behind `AdapterStore`: makes the adapter store match a stage's manifest."""
