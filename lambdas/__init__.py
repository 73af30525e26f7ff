"""The Lambda functions of the stacks."""
