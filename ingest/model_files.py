"""The files of a base model: read to check adapters against, uploaded where the model is mirrored."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from adapters.files import BytesFile, sha256_of
from adapters.source import HubSource, SourceError
from adapters.store.s3 import S3Client
from adapters.store.transfer import TransferableFile, Transfers
from adapters.validation.base_model import BaseModelFacts
from ingest.archive import Archive
from ingest.hub import Hub, HubFile
from ingest.s3_object import S3File

#: Uploaded last: if it is in the bucket, the model is complete.
MODEL_CONFIG = "config.json"
_INDEX = "model.safetensors.index.json"
#: Configs, tokenizers and chat templates; `.model` is SentencePiece's, `.tiktoken` and `.bpe` are others'.
_TEXTS = {".json", ".txt", ".jinja", ".model", ".tiktoken", ".bpe"}


@dataclass(frozen=True)
class ModelFiles:
    """The files of a model that an engine needs, at their source."""

    name: str
    files: Mapping[str, TransferableFile]
    sha256: Mapping[str, str]
    """SHA-256 (hex) of each file for which the source states it."""

    @property
    def weights(self) -> list[str]:
        """The safetensors files."""
        return [file for file in self.files if file.endswith(".safetensors")]

    def facts(self) -> BaseModelFacts:
        """Read the config and the headers of the weights; raises `InvalidBaseModel` and `SourceError`."""
        config = self.files[MODEL_CONFIG]
        return BaseModelFacts.read(
            self.name, bytes(config.read(0, config.size)), [self.files[file] for file in self.weights]
        )

    def put(self, file: str, prefix: str, transfers: Transfers) -> None:
        """Upload one file under a prefix; raises as `Transfers.put` does."""
        source, sha256 = self.files[file], self.sha256.get(file)
        if sha256 is None and isinstance(source, HubFile):
            # A small file stored in git: `content` checks its git hash, and its SHA-256 is computed below.
            source = BytesFile(source.content())
        transfers.put(prefix + file, source, sha256 or sha256_of(source))


def packed_model(name: str, archive: Archive, sha256: Mapping[str, str]) -> ModelFiles:
    """Return a local model that synth packed into the manifest asset, with the hashes from synth."""
    return ModelFiles(name, {file: archive.file(f"model/{file}") for file in sha256}, sha256)


def hub_model(hub: Hub, source: HubSource, *, with_code: bool) -> ModelFiles:
    """Locate a model on the Hub, with safetensors weights only; raises `SourceError`."""
    found = hub.snapshot(source).files
    if MODEL_CONFIG not in found:
        raise SourceError(str(source), f"the repository has no {MODEL_CONFIG}", "name a model's repository")
    wanted = _weights(source, found)
    wanted += [
        file for file in found if "/" not in file and PurePosixPath(file).suffix in _suffixes(with_code)
    ]
    files = {file: found[file] for file in sorted(wanted)}
    return ModelFiles(
        source.repo, files, {file: at.sha256 for file, at in files.items() if at.sha256 is not None}
    )


def stored_model(name: str, s3: S3Client, bucket: str, prefix: str, keys: Iterable[str]) -> ModelFiles:
    """Return a model that was mirrored under a prefix of the bucket; `keys` are the keys in the bucket."""
    stored = {key.removeprefix(prefix): key for key in keys if key.startswith(prefix)}
    return ModelFiles(name, {file: S3File(s3, bucket, key) for file, key in sorted(stored.items())}, {})


def _suffixes(with_code: bool) -> set[str]:
    return _TEXTS | {".py"} if with_code else _TEXTS


def _weights(source: HubSource, found: Mapping[str, HubFile]) -> list[str]:
    """Return the weights files. The index lists them: some repositories have the same weights twice."""
    if _INDEX in found:
        try:
            shards = sorted(
                {str(shard) for shard in json.loads(found[_INDEX].content())["weight_map"].values()}
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SourceError(str(source), f"its {_INDEX} is damaged", "pin another commit") from error
    else:
        shards = [file for file in found if "/" not in file and file.endswith(".safetensors")]
        if "model.safetensors" in shards:
            shards = ["model.safetensors"]
    missing = [shard for shard in shards if shard not in found]
    if missing or not shards:
        raise SourceError(
            str(source),
            f"the repository has no {missing[0] if missing else 'safetensors weights'}",
            "pin a commit whose weights are complete and in safetensors format",
        )
    return shards
