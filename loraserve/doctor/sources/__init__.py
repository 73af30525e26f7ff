"""Base model and adapters at their sources, asked as the seeder will ask."""
