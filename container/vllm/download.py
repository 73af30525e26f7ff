"""One adapter revision from the bucket to a local directory, complete and checked or not at all."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from adapters.errors import InvalidAdapter
from adapters.reading import LocalFile
from adapters.safetensors import read_header
from adapters.store import ADAPTER_FILES, WEIGHTS_FILE, adapter_prefix, content_digest, revision_of


class DownloadError(Exception):
    """The revision is not there, cannot be read, or is not what its revision says."""


class AdapterDownload:
    """Downloads into a cache on disk. Revisions never change, so what is there stays right."""

    def __init__(
        self, client: Any, bucket: str, cache: Path, target_modules: frozenset[str] | None = None
    ) -> None:
        """`client` is a boto3 S3 client; `cache` is made when it is first needed.

        `target_modules` are the modules that vLLM has slots for, None for all.
        """
        self._client = client
        self._bucket = bucket
        self._cache = cache
        self._target_modules = target_modules

    def fetch(self, name: str, revision: str) -> Path:
        """The directory with the revision's files; blocks, raises `DownloadError`."""
        prefix = adapter_prefix(name, revision)
        directory = self._cache / prefix
        try:
            if not directory.is_dir():
                self._download(prefix, revision, directory)
            self._check_modules(name, directory / WEIGHTS_FILE)
        except (InvalidAdapter, ClientError, BotoCoreError, OSError) as error:
            raise DownloadError(str(error)) from error
        return directory

    def _download(self, prefix: str, revision: str, directory: Path) -> None:
        directory.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._cache, prefix="fetching-") as temporary:
            incoming = Path(temporary) / "adapter"
            incoming.mkdir()
            digests = {file: self._fetch_file(prefix + file, incoming / file) for file in ADAPTER_FILES}
            found = revision_of(content_digest(digests))
            if found != revision:
                raise DownloadError(f"the content has revision {found}: it was changed in the bucket")
            incoming.rename(directory)

    def _check_modules(self, name: str, weights: Path) -> None:
        # vLLM would leave weights without a slot out and answer with the rest, silently.
        if self._target_modules is None:
            return
        # A tensor ends in <module>.lora_A.weight.
        modules = {tensor.split(".")[-3:][0] for tensor in read_header(name, LocalFile(weights))}
        if outside := modules - self._target_modules:
            raise DownloadError(f"it changes {', '.join(sorted(outside))}, not in ADAPTER_TARGET_MODULES")

    def _fetch_file(self, key: str, path: Path) -> str:
        """Download one file; its SHA-256 (hex)."""
        self._client.download_file(self._bucket, key, str(path))
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
