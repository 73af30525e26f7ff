"""The VPC's stack: subnets, VPC endpoints and flow logs."""
