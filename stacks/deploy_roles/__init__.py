"""Roles of a pipeline that deploys stages, and their trust in its OIDC tokens: a CDK app, `roles.py`."""
