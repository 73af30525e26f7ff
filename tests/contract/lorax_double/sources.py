"""Port of server/lorax_server/utils/sources/: the sources of an adapter's files.

What can be seen from outside: S3 is listed by prefix without a slash added; `s3://` names any bucket; the
directory on the disk has no bucket in its name, and `--` in place of `/`; nothing is ever fetched again
because it has changed, but for configs, which always are; `local` reads any path.
"""

import os
import time
from functools import cache
from pathlib import Path
from typing import Any, NoReturn, Protocol

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

S3_PREFIX = "s3://"
SOURCES = ("hub", "s3", "local", "pbase")
SAFETENSORS = ".safetensors"


class EntryNotFoundError(Exception):
    """`huggingface_hub`'s: the source has no such file."""


class Source(Protocol):
    def download_file(self, filename: str, *, ignore_errors: bool = False) -> Path | None:
        """Fetch one file, always anew."""

    def weight_files(self, extension: str = SAFETENSORS) -> list[Path]:
        """The weights on the disk; raises `FileNotFoundError`."""

    def download_model_assets(self) -> None:
        """Fetch all there is."""


def get_model_source(source: str, model_id: str) -> Source:
    if source == "hub":
        ask_hub(f"/api/models/{model_id}")
    return S3ModelSource(model_id) if source == "s3" else LocalModelSource(model_id)


def cache_dir() -> Path:
    return Path(os.environ.get("HUGGINGFACE_HUB_CACHE", "/data"))


def ask_hub(path: str, host: str = "huggingface.co") -> NoReturn:
    """Raise the error of a container without internet access, at once only with HF_HUB_OFFLINE."""
    if os.environ.get("HF_HUB_OFFLINE") == "1":
        remedy = "To disable it, please unset the `HF_HUB_OFFLINE` environment variable."
        raise OSError(f"Cannot reach https://{host}{path}: offline mode is enabled. {remedy}")
    time.sleep(float(os.environ.get("LORAX_DOUBLE_HUB_SECONDS", "1")))
    raise OSError(
        f"HTTPSConnectionPool(host='{host}', port=443): Max retries exceeded with url: {path} (Caused by "
        "NewConnectionError('Failed to establish a new connection: [Errno 101] Network is unreachable'))"
    )


def map_pbase_model_id_to_s3(model_id: str, api_token: str | None) -> NoReturn:
    """Fail: Predibase's service would return the location of its adapters."""
    if not (api_token or os.environ.get("PREDIBASE_API_TOKEN")):
        raise ValueError("api_token must be provided to for a model of source pbase")
    if model_id.count("/") > 1:
        raise ValueError(f"Invalid model id {model_id}")
    ask_hub(f"/v1/models/version/name/{model_id.partition('/')[0]}", host="api.app.predibase.com")


class LocalModelSource:
    """local.py: the id is a path, absolute or below the cache."""

    def __init__(self, model_id: str) -> None:
        _check_length(model_id)
        self._model_id = model_id
        self._directory = cache_dir() / model_id

    def download_file(self, filename: str, *, ignore_errors: bool = False) -> Path | None:
        path = self._directory / filename
        if path.exists():
            return path
        if ignore_errors:
            return None
        raise FileNotFoundError(f"File {filename} of model {self._model_id} not found in {path}")

    def weight_files(self, extension: str = SAFETENSORS) -> list[Path]:
        return _local_files(self._directory, self._model_id, extension)

    def download_model_assets(self) -> None:
        return


class S3ModelSource:
    """s3.py."""

    def __init__(self, model_id: str) -> None:
        _check_length(model_id)
        bucket, self._model_id = _get_bucket_and_model_id(model_id)
        self._bucket = _get_bucket_resource(bucket)
        self._directory = cache_dir() / f"models--{self._model_id.replace('/', '--')}" / "snapshots"

    def download_file(self, filename: str, *, ignore_errors: bool = False) -> Path | None:
        # `try_to_load_from_cache` looks in snapshots/snapshots and so never finds anything.
        path = self._directory / filename
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._bucket.download_file(str(Path(self._model_id) / filename), str(path))
        except ClientError:
            if ignore_errors:
                return None
            raise
        return path

    def weight_files(self, extension: str = SAFETENSORS) -> list[Path]:
        return _local_files(self._directory, self._model_id, extension)

    def download_model_assets(self) -> None:
        keys = [each.key for each in self._bucket.objects.filter(Prefix=self._model_id)]
        if len({Path(key).parts[0] for key in keys}) > 1:
            raise ValueError(f"Multiple models found for model_id {self._model_id}")
        for key in keys:
            filename = key.removeprefix(self._model_id).lstrip("/")
            if filename:
                self.download_file(filename)
        if not any(key.endswith(SAFETENSORS) for key in keys):
            raise EntryNotFoundError(f"No {SAFETENSORS} weights found for model {self._model_id}")


def _check_length(model_id: str) -> None:
    if len(model_id) < 5:
        raise ValueError(f"model_id '{model_id}' is too short for prefix filtering")


def _local_files(directory: Path, model_id: str, extension: str) -> list[Path]:
    found = list(directory.glob(f"*{extension}")) if directory.is_dir() else []
    if not found:
        raise FileNotFoundError(f"No local weights found in {model_id} with extension {extension}")
    return found


def _get_bucket_and_model_id(model_id: str) -> tuple[str, str]:
    if model_id.startswith(S3_PREFIX):
        bucket, slash, key = model_id.removeprefix(S3_PREFIX).partition("/")
        if not slash:
            form = "model_id should be of the form `s3://bucket_name/model_id`"
            raise ValueError(f"Invalid model_id {model_id}. {form}")
        return bucket, key
    bucket = os.environ.get("PREDIBASE_MODEL_BUCKET", "")
    folder = os.environ.get("PREDIBASE_MODEL_FOLDER", "")
    if not bucket:
        bucket, slash, key = model_id.partition("/")
        if not slash:
            form = "model_id should be of the form `bucket_name/model_id` if PREDIBASE_MODEL_BUCKET"
            raise ValueError(f"Invalid model_id {model_id}. {form} environment variable is not set")
        return bucket, key
    return bucket, (f"{folder.rstrip('/')}/{model_id}" if folder else model_id)


@cache
def _get_bucket_resource(bucket: str) -> Any:
    """LoRAX makes one for each use, which only takes longer."""
    config = Config(retries={"max_attempts": 5, "mode": "standard"})
    endpoint = os.environ.get("S3_ENDPOINT_URL")
    return boto3.resource("s3", endpoint_url=endpoint, config=config).Bucket(bucket)
