"""Download of an adapter revision to a local directory: complete and verified, or not at all."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from adapters.errors import InvalidAdapter, InvalidName
from adapters.files import LocalFile
from adapters.names import Reference
from adapters.store.layout import (
    ADAPTER_FILES,
    WEIGHTS_FILE,
    RegistryEntry,
    adapter_prefix,
    content_digest,
    revision_of,
)
from adapters.store.registry import AdapterRegistry
from adapters.store.s3 import is_absent
from adapters.validation.safetensors import read_header
from container.gateway.adapters.object_download import ATTEMPTS, PARALLEL_PARTS, ObjectDownload
from container.gateway.errors import ADAPTER_INCOMPATIBLE, ADAPTER_LOAD_FAILED, ADAPTER_MISSING

_ENGINE_ID = re.compile(r"^adapters/(?P<name>.+)/(?P<revision>[0-9a-f]+)/$")
#: An adapter of a 7B model has 20 to 340 MB; a read that stalls for 10 s is retried.
_CONFIG = Config(
    connect_timeout=5,
    read_timeout=10,
    retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
    # Two adapters at once, MAX_COLD_LOADS's default; above it, connections are not kept for the next one.
    max_pool_connections=2 * PARALLEL_PARTS,
    # The whole content is hashed here anyway.
    response_checksum_validation="when_required",
)


class DownloadError(Exception):
    """An adapter that cannot be served."""

    def __init__(self, error_type: str, message: str) -> None:
        """`error_type` is one of `container.gateway.errors.ADAPTER_ERRORS`."""
        super().__init__(message)
        self.error_type = error_type


class Download(Protocol):
    """The part of `AdapterDownload` that loading an adapter calls."""

    def fetch(self, name: str, revision: str) -> Path:
        """Return the directory with the revision's files; blocks, raises `DownloadError`."""
        ...


class AdapterDownload:
    """Downloads into a cache on disk. Revisions are immutable, so a cached one stays valid."""

    def __init__(
        self,
        client: Any,
        bucket: str,
        cache: Path,
        directory: Callable[[Path, str], Path],
        target_modules: frozenset[str] | None = None,
    ) -> None:
        """`client` is a boto3 S3 client; `cache` is created on first use.

        `directory` maps an engine id to the directory where the engine looks for it; `target_modules` are the
        modules that the engine has slots for, None for all.
        """
        self._client = client
        self._registry = AdapterRegistry(client, bucket)
        self._bucket = bucket
        self._cache = cache
        self._directory = directory
        self._target_modules = target_modules

    def fetch(self, name: str, revision: str) -> Path:
        """Return the directory with the revision's files; blocks, raises `DownloadError`.

        The name must be registered, for this revision or another: a removed adapter is not served.
        """
        prefix = adapter_prefix(name, revision)
        directory = self._directory(self._cache, prefix)
        try:
            if all((directory / file).is_file() for file in ADAPTER_FILES):
                self._entry(name)
            else:
                # The engine itself may have stored one of the files there.
                shutil.rmtree(directory, ignore_errors=True)
                self._download(name, revision, directory)
            self._check_modules(name, directory / WEIGHTS_FILE)
        except InvalidAdapter as error:
            raise DownloadError(ADAPTER_INCOMPATIBLE, str(error)) from error
        except ClientError as error:
            raise DownloadError(
                ADAPTER_MISSING if is_absent(error) else ADAPTER_LOAD_FAILED, str(error)
            ) from error
        except DownloadError:
            raise
        except Exception as error:
            # botocore's errors for an answer that is not S3's have no common class.
            raise DownloadError(ADAPTER_LOAD_FAILED, f"{type(error).__name__}: {error}") from error
        return directory

    def _entry(self, name: str) -> RegistryEntry:
        published = self._registry.get(name)
        if published is None:
            raise DownloadError(ADAPTER_MISSING, f"adapter {name!r} is not registered: publish it")
        return published.entry

    def _download(self, name: str, revision: str, directory: Path) -> None:
        prefix = adapter_prefix(name, revision)
        directory.parent.mkdir(parents=True, exist_ok=True)
        with (
            tempfile.TemporaryDirectory(dir=self._cache, prefix="fetching-") as temporary,
            # Left first: its threads write to the directory.
            ThreadPoolExecutor(PARALLEL_PARTS, "download") as threads,
        ):
            incoming = Path(temporary) / "adapter"
            incoming.mkdir()
            download = ObjectDownload(self._client, self._bucket, threads)
            # All at once: each request takes S3 some tens of milliseconds.
            entry_read = threads.submit(self._entry, name)
            fetched = {
                file: threads.submit(download.fetch, prefix + file, incoming / file) for file in ADAPTER_FILES
            }
            entry = entry_read.result()
            digests = {file: future.result() for file, future in fetched.items()}
            digest = content_digest(digests)
            # The registry has the whole digest of the current revision; a revision is a part of its digest.
            matches = (
                digest == entry.digest if revision == entry.revision else revision_of(digest) == revision
            )
            if not matches:
                raise DownloadError(
                    ADAPTER_LOAD_FAILED,
                    f"the content has the digest {digest}, as it was changed in the bucket: publish the "
                    "adapter again",
                )
            incoming.rename(directory)

    def _check_modules(self, name: str, weights: Path) -> None:
        # vLLM would silently ignore weights without a slot and answer with the others.
        if self._target_modules is None:
            return
        # The name of a tensor ends in <module>.lora_A.weight.
        modules = {tensor.split(".")[-3:][0] for tensor in read_header(name, LocalFile(weights))}
        if outside := modules - self._target_modules:
            raise DownloadError(
                ADAPTER_INCOMPATIBLE,
                f"it changes {', '.join(sorted(outside))}, which this endpoint has no room for: add them to "
                "engine.adapter_target_modules in the endpoint's stage file",
            )


def download_client(region: str | None) -> Any:
    """Return a boto3 S3 client for downloads; AWS_ENDPOINT_URL overrides its endpoint."""
    return boto3.client("s3", region_name=region, config=_CONFIG)


def parse_engine_id(engine_id: str) -> tuple[str, str]:
    """Return name and revision of an engine id; raise `InvalidName` for any other text."""
    match = _ENGINE_ID.fullmatch(engine_id)
    reference = Reference.parse("{name}@{revision}".format(**match.groupdict()) if match else engine_id)
    if reference.revision is None or adapter_prefix(reference.name, reference.revision) != engine_id:
        raise InvalidName(engine_id, "not an engine id", "use adapters/<name>/<revision>/")
    return reference.name, reference.revision
