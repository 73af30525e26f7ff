"""Sizing without a GPU: instance types, model shapes, GPU memory and prices. Imports no `aws_cdk`."""
