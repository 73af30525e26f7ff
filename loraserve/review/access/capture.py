"""Rights that an endpoint's data capture needs."""

from __future__ import annotations

import re

from loraserve.review.access.coverage import Right
from loraserve.review.access.text import Resolver
from loraserve.review.assembly import Stack, Stage
from loraserve.review.comparison import StageComparison

_CONFIG = "AWS::SageMaker::EndpointConfig"


def is_for_capture(right: Right, needed: set[tuple[str, str]]) -> bool:
    """Return whether a right is one of those that a data capture needs."""
    pairs = {(action, resource) for action in right.action.patterns for resource in right.resource.patterns}
    return not right.action.negated and not right.resource.negated and pairs <= needed


def needed_for_capture(change: StageComparison) -> set[tuple[str, str]]:
    """Return actions and resources of a data capture that the change turns on, within the stage's bucket.

    The role writes records below the configured URI (SageMaker API, DataCaptureConfig), which S3 encrypts by
    the bucket's key.
    """
    changed = any(each.type == _CONFIG and each.name == "DataCaptureConfig" for each in change.differences)
    return _needed(change.after) if changed and change.after is not None else set()


def _needed(stage: Stage) -> set[tuple[str, str]]:
    resolver = Resolver(stage)
    found = set()
    for stack in stage.stacks.values():
        for resource in stack.resources.values():
            capture = resource.get("Properties", {}).get("DataCaptureConfig")
            if resource["Type"] != _CONFIG or not isinstance(capture, dict):
                continue
            uri = resolver.text(capture.get("DestinationS3Uri"), stack)
            below = re.fullmatch(r"s3://<([^<>./]+)/([^<>./]+)>/([^<>*?]+/)", uri)
            if below is None:
                continue
            owner, bucket, prefix = below.groups()
            found.add(("s3:putobject", f"<{owner}/{bucket}.Arn>/{prefix}*"))
            key = _default_key(resolver, stage.stacks[owner], bucket)
            found.add(("kms:generatedatakey", key))
    return found


def _default_key(resolver: Resolver, stack: Stack, bucket: str) -> str:
    """Return the ARN of the key that a bucket encrypts with."""
    encryption = stack.resources.get(bucket, {}).get("Properties", {}).get("BucketEncryption", {})
    for rule in encryption.get("ServerSideEncryptionConfiguration", ()):
        by_default = rule.get("ServerSideEncryptionByDefault", {})
        if "KMSMasterKeyID" in by_default:
            return resolver.text(by_default["KMSMasterKeyID"], stack)
    return ""
