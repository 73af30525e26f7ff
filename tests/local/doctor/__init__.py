"""The doctor against the laptop cloud, with each fault planted in turn."""
