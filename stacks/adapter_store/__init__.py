"""The adapter store's stack: bucket, key and seeder."""
