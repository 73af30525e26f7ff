"""Locating the files of a source that a manifest names: on the Hub, in S3 or in the manifest asset."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass

from adapters.files import sha256_of
from adapters.source import HubSource, LocalSource, PackedSource, S3Source, Source, SourceError
from adapters.store.layout import ADAPTER_FILES, CONFIG_FILE, WEIGHTS_FILE, RegistryEntry
from adapters.store.s3 import S3Client
from adapters.store.transfer import TransferableFile
from adapters.validation.adapter_config import MAX_CONFIG_BYTES
from ingest.archive import Archive
from ingest.hub import Hub, HubFile
from ingest.s3_object import S3File

_NO_PICKLES = "only adapter_config.json and adapter_model.safetensors are taken: convert .bin weights"
#: Weights files that are hashed at the same time: each needs memory for one chunk.
_HASHING = threading.Semaphore(4)


@dataclass(frozen=True)
class AdapterFiles:
    """An adapter's two files at their source; the weights have not been read yet."""

    source: str
    """As a manifest writes it; a Hub source with its commit."""
    version: str
    """State of a source that can change, e.g. its ETags; empty for one that cannot."""
    config: bytes
    weights: TransferableFile
    sha256: str | None
    """SHA-256 (hex) of the weights, if the source states it."""


class Locator:
    """Locates adapters on the Hub, in S3 and in the manifest asset."""

    def __init__(
        self, s3: S3Client, bucket: str, hub: Hub, archive: Archive | None, commits: Mapping[str, str]
    ) -> None:
        """`bucket` is the store's; `commits` has the commit of each branch, by source."""
        self._s3 = s3
        self._bucket = bucket
        self._hub = hub
        self._archive = archive
        self._commits = commits

    def pinned(self, source: Source) -> Source:
        """Return the source with a commit, if one is known for its branch."""
        if isinstance(source, HubSource) and str(source) in self._commits:
            return source.at(self._commits[str(source)])
        return source

    def locate(self, source: Source) -> AdapterFiles:
        """Locate the adapter's files and read its config; raises `SourceError`."""
        match self.pinned(source):
            case HubSource() as at_hub:
                return self._on_hub(at_hub)
            case S3Source() as in_s3:
                return self._in_s3(in_s3)
            case PackedSource() as packed:
                return self._packed(packed)
            case LocalSource() as local:
                raise SourceError(str(local), "synth did not pack this directory", "deploy again")

    def stored(self, entry: RegistryEntry) -> AdapterFiles:
        """Return the files of a revision that is in the store, as the files of its source."""
        config, weights = (S3File(self._s3, self._bucket, entry.prefix + file) for file in ADAPTER_FILES)
        content = config.read(0, config.size)
        return AdapterFiles(entry.source, entry.source_version, content, weights, entry.sha256)

    def _on_hub(self, source: HubSource) -> AdapterFiles:
        snapshot = self._hub.snapshot(source)
        for file in ADAPTER_FILES:
            if file not in snapshot.files:
                pickles = any(name.endswith((".bin", ".pt", ".pth")) for name in snapshot.files)
                raise SourceError(
                    str(source),
                    f"the repository has no {file}",
                    _NO_PICKLES if pickles else "check that it is a PEFT adapter",
                )
        config, weights = snapshot.files[CONFIG_FILE], snapshot.files[WEIGHTS_FILE]
        _bounded(source, config)
        return AdapterFiles(str(snapshot.source), "", config.content(), weights, weights.sha256)

    def _in_s3(self, source: S3Source) -> AdapterFiles:
        config, weights = (S3File(self._s3, source.bucket, source.prefix + file) for file in ADAPTER_FILES)
        _bounded(source, config)
        content = config.read(0, config.size)
        # S3 will copy it without this code reading it: its SHA-256 must be known before.
        with _HASHING:
            sha256 = weights.sha256 or sha256_of(weights, self._hub.check_time)
        return AdapterFiles(str(source), _version(config, weights), content, weights, sha256)

    def version(self, source: S3Source) -> str:
        """Return the current `AdapterFiles.version` of a source; raises `SourceError`."""
        return _version(*(S3File(self._s3, source.bucket, source.prefix + file) for file in ADAPTER_FILES))

    def _packed(self, source: PackedSource) -> AdapterFiles:
        if self._archive is None:
            raise SourceError(str(source), "it came without its archive", "deploy again")
        config, weights = (self._archive.file(f"adapters/{source.digest}/{file}") for file in ADAPTER_FILES)
        _bounded(source, config)
        return AdapterFiles(str(source), "", bytes(config.read(0, config.size)), weights, None)


def _version(config: S3File, weights: S3File) -> str:
    return f"{config.etag} {weights.etag}"


def _bounded(source: Source, config: TransferableFile | HubFile) -> None:
    if config.size > MAX_CONFIG_BYTES:
        raise SourceError(
            str(source),
            f"its {CONFIG_FILE} has {config.size} bytes",
            "it is not a PEFT config: check the source",
        )
