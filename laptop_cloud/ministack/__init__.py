"""Additions to `ministack`'s ECR, IAM and S3, by its private names."""
