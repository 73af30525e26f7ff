"""SageMaker Runtime: InvokeEndpoint and InvokeEndpointWithResponseStream."""
