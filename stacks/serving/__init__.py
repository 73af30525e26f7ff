"""The endpoint's stack: image, execution role, model, endpoint config and endpoint."""
