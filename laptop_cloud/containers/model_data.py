"""Model data: validation, and the download from S3 to the container's model directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from laptop_cloud.api.service import Params, invalid


class ModelDataMissing(Exception):
    """There is no readable object at a model's S3 prefix."""


def check_source(container: Params) -> None:
    """Raise `ServiceError` for model data in a form that is not emulated."""
    if "ModelDataUrl" in container:
        raise invalid(
            "the laptop cloud does not unpack ModelDataUrl archives: give the files under a prefix, as "
            "ModelDataSource.S3DataSource with S3DataType S3Prefix and CompressionType None"
        )
    source = container.get("ModelDataSource", {}).get("S3DataSource")
    if source is None:
        return
    kind = (source["S3DataType"], source["CompressionType"])
    if kind != ("S3Prefix", "None"):
        raise invalid(
            f"the laptop cloud reads model data of S3DataType S3Prefix and CompressionType None, "
            f"not {kind[0]} and {kind[1]}"
        )
    if not source["S3Uri"].endswith("/"):
        raise invalid(f"S3Uri must end with a forward slash where S3DataType is S3Prefix: {source['S3Uri']}")


def source_uri(container: Params) -> str | None:
    """Return the S3 prefix of a container's model data, or None."""
    source: Any = container.get("ModelDataSource", {}).get("S3DataSource", {})
    uri: str | None = source.get("S3Uri")
    return uri


def download(uri: str, directory: Path, s3: Any) -> None:
    """Download every object under the prefix `uri` into `directory`, read-only, with a boto3 client. Blocks.

    Raises:
        ModelDataMissing: the bucket does not exist, the prefix is empty, or the role may not read it.
    """
    bucket, prefix = urlsplit(uri).netloc, urlsplit(uri).path.lstrip("/")
    found = False
    try:
        for listing in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for entry in listing.get("Contents", []):
                target = directory / entry["Key"].removeprefix(prefix)
                target.parent.mkdir(parents=True, exist_ok=True)
                s3.download_file(bucket, entry["Key"], str(target))
                target.chmod(0o444)
                found = True
    except ClientError as error:
        raise ModelDataMissing(f"could not read the model data at {uri}: {error}") from error
    if not found:
        raise ModelDataMissing(f"there is no model data at {uri}: the prefix holds no objects")
