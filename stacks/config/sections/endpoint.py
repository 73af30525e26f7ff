"""The SageMaker variant: instances, storage, time-outs, and what is recorded of its requests."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from stacks.typed_yaml import Strict

#: SageMaker's limits for both time-outs of a variant (CreateEndpointConfig).
TimeoutSeconds = Annotated[int, Field(ge=60, le=3600)]
#: ARN of a key; an alias or an id would not say whose it is.
KeyArn = Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key/[A-Za-z0-9-]+$")]


class DataCapture(Strict):
    """Requests and answers recorded in the bucket, below `captured/`.

    Prompts and answers are personal data wherever people write them: find out what your users were told
    before you record any, and for how long you may keep it.
    """

    percent: int = Field(0, ge=0, le=100)
    """Part of the requests that is recorded; 0 records none."""
    record: Literal["input_and_output", "input", "output"] = "input_and_output"
    """What of a request."""
    retention_days: int = Field(30, ge=1, le=3650)
    """How long a record stays in the bucket."""


class Endpoint(Strict):
    """The SageMaker variant."""

    instance_type: str = Field("ml.g5.xlarge", pattern=r"^ml\.[a-z0-9-]+\.[a-z0-9]+$")
    """SageMaker instance type."""
    instance_count: int = Field(1, ge=1)
    """Instances at creation; autoscaling decides afterwards."""
    volume_gb: int | None = Field(None, ge=1, le=512)
    """Disk of each instance; only for types without NVMe of their own, whose disk is as large as it is."""
    volume_key: KeyArn | None = None
    """KMS key (ARN) of that disk. It does not encrypt NVMe, which the hardware encrypts anyway; set it there
    only if a policy of your organization wants to see one."""
    startup_health_check_seconds: TimeoutSeconds = 800
    """How long a container may take until `/ping` answers 200."""
    model_download_seconds: TimeoutSeconds = 1200
    """How long SageMaker may take to download a mounted model."""
    inference_ami_version: str | None = None
    """Picks the GPU driver of the instance; by default the one that the engine's CUDA needs."""
    routing: Literal["least_outstanding_requests", "random"] = "least_outstanding_requests"
    """Which instance gets a request. Answers differ in length by a hundred times, so drawing lots fills some
    queues while others are empty."""
    enhanced_metrics: bool = False
    """Whether utilization and requests are also told for each instance and each GPU."""
    detailed_observability: bool = False
    """Whether CloudWatch collects the container's `/metrics`, at 0.50 USD per GB."""
    metrics_publish_seconds: Literal[10, 30, 60, 120, 180, 240, 300] = 60
    """How often utilization is told."""
    data_capture: DataCapture = DataCapture()
    """See below."""
