"""The CDK app's stages, stacks and constructs."""
