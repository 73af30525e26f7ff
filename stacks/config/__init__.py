"""The stage file: sections, rules between them, derived values. Imports no `aws_cdk`."""
