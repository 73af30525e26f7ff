"""AWS's JSON protocol: requests, validation by botocore's service models, records."""
