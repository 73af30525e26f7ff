"""Locating the files of a source that a manifest names: on the Hub, in S3 or in the manifest asset."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from adapters.files import sha256_of
from adapters.source import HubSource, LocalSource, PackedSource, S3Source, Source, SourceError
from adapters.store.layout import (
    ADAPTER_FILES,
    CONFIG_FILE,
    WEIGHTS_FILE,
    RegistryEntry,
    adapter_prefix,
    revision_of,
)
from adapters.store.s3 import S3Client, is_absent
from ingest.adapter_files import (
    CONVERSION_FILE,
    AdapterFiles,
    Conversion,
    adapter_files,
    check_config_size,
)
from ingest.archive import Archive
from ingest.hub import Hub
from ingest.missing_adapter import missing_in_s3, missing_on_hub, weights_name
from ingest.pytorch.converted_file import CHECKPOINT_FILE
from ingest.s3_object import S3File

#: Weights files that are hashed at the same time: each needs memory for one chunk.
_HASHING = threading.Semaphore(4)


class Locator:
    """Locates adapters on the Hub, in S3 and in the manifest asset."""

    def __init__(
        self, s3: S3Client, bucket: str, hub: Hub, archive: Archive | None, commits: Mapping[str, str]
    ) -> None:
        """`bucket` is the store's; `commits` has the commit of each branch, by `HubSource.root`."""
        self._s3 = s3
        self._bucket = bucket
        self._hub = hub
        self._archive = archive
        self._commits = commits

    def pinned(self, source: Source) -> Source:
        """Return the source with a commit, if one is known for its branch."""
        if isinstance(source, HubSource) and str(source.root) in self._commits:
            return source.at(self._commits[str(source.root)])
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
        conversion = Conversion(entry.converted_from, entry.source_sha256) if entry.converted_from else None
        return AdapterFiles(entry.source, entry.source_version, content, weights, entry.sha256, conversion)

    def revision(self, name: str, digest: str) -> AdapterFiles:
        """Locate the files of a revision of the store by its digest; raises `SourceError`."""
        return self._in_s3(S3Source(self._bucket, adapter_prefix(name, revision_of(digest))))

    def _on_hub(self, source: HubSource) -> AdapterFiles:
        snapshot = self._hub.snapshot(source)
        files = snapshot.in_folder()
        name = weights_name(files)
        if CONFIG_FILE not in files or name is None:
            raise missing_on_hub(source, snapshot.files)
        config, weights = files[CONFIG_FILE], files[name]
        check_config_size(str(source), config)
        return adapter_files(
            str(snapshot.source), "", config.content(), (name, weights),
            sha256=weights.sha256, before_each=self._hub.check_time,
        )  # fmt: skip

    def _in_s3(self, source: S3Source) -> AdapterFiles:
        config, (name, weights) = self._s3_files(source)
        check_config_size(str(source), config)
        content, sha256 = config.read(0, config.size), weights.sha256
        if name == WEIGHTS_FILE and sha256 is None:
            # S3 will copy it without this code reading it: its SHA-256 must be known before.
            with _HASHING:
                sha256 = sha256_of(weights, self._hub.check_time)
        return adapter_files(
            str(source), _version(config, weights), content, (name, weights),
            sha256=sha256, before_each=self._hub.check_time,
        )  # fmt: skip

    def version(self, source: S3Source) -> str:
        """Return the current `AdapterFiles.version` of a source; raises `SourceError`."""
        config, (_, weights) = self._s3_files(source)
        return _version(config, weights)

    def _s3_files(self, source: S3Source) -> tuple[S3File, tuple[str, S3File]]:
        """Return the config and the weights under a prefix, safetensors if they are there."""
        try:
            config = S3File(self._s3, source.bucket, source.prefix + CONFIG_FILE)
        except SourceError as error:
            if _is_missing(error):
                raise missing_in_s3(self._s3, source) from error
            raise
        try:
            return config, (WEIGHTS_FILE, S3File(self._s3, source.bucket, source.prefix + WEIGHTS_FILE))
        except SourceError as error:
            # If it may not be read, it may be there: the checkpoint beside it must not take its place.
            if not _is_missing(error):
                raise
        try:
            return config, (CHECKPOINT_FILE, S3File(self._s3, source.bucket, source.prefix + CHECKPOINT_FILE))
        except SourceError as error:
            if _is_missing(error):
                raise missing_in_s3(self._s3, source) from error
            raise

    def _packed(self, source: PackedSource) -> AdapterFiles:
        if self._archive is None:
            raise SourceError(str(source), "it came without its archive", "deploy again")
        folder = f"adapters/{source.digest}"
        config, weights = (self._archive.file(f"{folder}/{file}") for file in ADAPTER_FILES)
        check_config_size(str(source), config)
        try:
            conversion = Conversion.from_json(self._archive.read(f"{folder}/{CONVERSION_FILE}"))
        except KeyError:
            conversion = None
        sha256 = conversion.weights_sha256 if conversion is not None else None
        content = bytes(config.read(0, config.size))
        return AdapterFiles(str(source), "", content, weights, sha256, conversion)


def _is_missing(error: SourceError) -> bool:
    return isinstance(error.__cause__, Exception) and is_absent(error.__cause__)


def _version(config: S3File, weights: S3File) -> str:
    return f"{config.etag} {weights.etag}"
