"""Additions to `ministack`'s IAM and S3, by its private names."""
