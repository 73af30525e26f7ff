"""The SageMaker control plane: models, endpoint configs, endpoints and their rollouts."""
