"""Resources of other stacks that the endpoint refers to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3


@dataclass(frozen=True, kw_only=True)
class StoreReferences:
    """The adapter store."""

    bucket: s3.IBucket
    """Adapters, registry, captures and a mounted base model."""
    key: kms.IKey | None
    """The bucket's KMS key; None if S3 encrypts with its own."""
    model_prefix: str | None
    """Key prefix of the base model to mount; None if the container downloads it from the Hub."""


@dataclass(frozen=True, kw_only=True)
class VpcPlacement:
    """Network interfaces of the instances."""

    subnet_ids: Sequence[str]
    """Two at least, in different zones."""
    security_group_ids: Sequence[str]
    """One at least."""
