"""ECR's registry in front of `ministack`'s: authorization tokens and the permissions of each request."""
