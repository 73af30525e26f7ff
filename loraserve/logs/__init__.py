"""Errors and slow requests of an endpoint, from the gateway's access log in CloudWatch Logs."""
