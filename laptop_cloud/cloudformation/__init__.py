"""CloudFormation types of SageMaker and Application Auto Scaling."""
