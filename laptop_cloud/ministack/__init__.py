"""Additions to ministack's IAM and S3."""
