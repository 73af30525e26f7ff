"""Additions to `ministack`'s CloudWatch, ECR, IAM and S3, by its private names."""
