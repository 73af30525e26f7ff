"""The store's layout in S3, its registry and the publishing protocol."""
