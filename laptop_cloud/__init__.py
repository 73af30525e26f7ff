"""The laptop cloud: AWS on one port of 127.0.0.1, with SageMaker endpoints that are real processes.

`ministack` emulates S3, CloudFormation, IAM, Lambda and the rest. This package adds SageMaker,
SageMaker Runtime and Application Auto Scaling in front of it, and their CloudFormation types.
Start it with `laptop_cloud.cloud.LaptopCloud`, or with `python -m laptop_cloud`.
"""
