"""The access log, with a stubbed CloudWatch Logs."""
