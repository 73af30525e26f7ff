"""The laptop cloud: a SageMaker emulator for this repository's Local stage and tests.

Scope: what the Local stage and its tests call, nothing else. A feature of AWS that neither calls does not
belong here, however small; a request for one is refused with an error that names it.

The emulator listens on one port of 127.0.0.1. `ministack` answers for S3, CloudFormation, IAM, Lambda and the
other services. This package adds SageMaker, SageMaker Runtime and Application Auto Scaling in front of it,
and their CloudFormation types, and to ECR tokens and permissions. A container is a process of this
repository, or an image of ECR in a sandbox.

Emulated: models of one container; endpoint configurations of one production variant on instances; endpoints
with blue/green and rolling updates, rollback by alarms, retained capacity and metrics; tags, which each stage
puts on its resources; images of ECR, resolved to a digest and pulled with the execution role; scalable
targets, whose target tracking policies and scheduled actions are carried out, and scaling activities.

Not emulated, and refused: pages, filters and sort orders of List operations; pages and filters by name of
Application Auto Scaling's Describe operations; step scaling and customized metrics; several variants per
endpoint, shadow variants and serverless variants; inference pipelines; archives of model data.

Start it with `laptop_cloud.cloud.LaptopCloud`, or with `python -m laptop_cloud`.
"""
