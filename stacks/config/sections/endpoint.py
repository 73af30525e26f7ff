"""The SageMaker variant: instances, storage, time-outs, data capture."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from stacks.sizing.instances import INFERENCE_AMIS, check_type
from stacks.typed_yaml import KeyOf, Strict, shaped

#: SageMaker's limits for both time-outs of a variant (CreateEndpointConfig).
TimeoutSeconds = Annotated[int, Field(ge=60, le=3600)]
#: ARN of a key; an alias or an id does not identify its account.
KeyArn = Annotated[
    str,
    shaped(
        r"arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key/[A-Za-z0-9-]+",
        "write the ARN of a key, not of an alias, e.g. "
        "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
    ),
]


class DataCapture(Strict):
    """Requests and answers recorded in the bucket, below `captured/`.

    Prompts and answers written by people are personal data: before recording, check the consent of the users
    and the permitted retention.
    """

    percent: int = Field(0, ge=0, le=100)
    """Share of the requests that is recorded; 0 records none."""
    record: Literal["input_and_output", "input", "output"] = "input_and_output"
    """Recorded parts of a request."""
    retention_days: int = Field(30, ge=1, le=3650)
    """Days that a record stays in the bucket."""


class Endpoint(Strict):
    """The SageMaker variant."""

    instance_type: Annotated[str, AfterValidator(check_type)] = "ml.g5.xlarge"
    """SageMaker instance type, one of those with known NVIDIA GPUs (`stacks/sizing/instances.py`)."""
    instance_count: int = Field(1, ge=1)
    """Instances at creation; autoscaling decides afterwards."""
    volume_key: KeyArn | None = None
    """KMS key (ARN) of a network volume. It does not encrypt NVMe, which the types with GPUs have and the
    hardware encrypts anyway: set it only if a policy of your organization requires one."""
    startup_health_check_seconds: TimeoutSeconds = 800
    """Time limit of a container until `/ping` answers 200."""
    model_download_seconds: TimeoutSeconds = 1200
    """Time limit of SageMaker's download of a mounted model."""
    inference_ami_version: Annotated[str, KeyOf(INFERENCE_AMIS)] | None = None
    """AMI with the GPU driver of the instance; by default the one that the engine's CUDA needs."""
    routing: Literal["least_outstanding_requests", "random", "adapter_affine"] = "least_outstanding_requests"
    """Choice of the instance for a request. Answers differ in length by a hundred times, so `random` fills
    some queues while others are empty. `adapter_affine` keeps an adapter's requests on one instance, if
    clients send what it needs; not measured on AWS, see [operations.md](operations.md#adapter-affinity)."""
    enhanced_metrics: bool = False
    """Emit utilization and requests for each instance and each GPU, too."""
    detailed_observability: bool = False
    """Let CloudWatch collect the container's `/metrics`, at 0.50 USD per GB."""
    metrics_publish_seconds: Literal[10, 30, 60, 120, 180, 240, 300] = 60
    """Period of the utilization metrics."""
    data_capture: DataCapture = DataCapture()
    """See below."""
