"""The files of an adapter at their source, whatever the source is."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass

from adapters.files import ReadableFile
from adapters.source import SourceError
from adapters.store.layout import CONFIG_FILE, WEIGHTS_FILE
from adapters.store.transfer import TransferableFile
from adapters.validation.adapter_config import MAX_CONFIG_BYTES
from ingest.pytorch.converted_file import ConvertedFile

#: In the manifest asset, beside an adapter that synth has converted: `Conversion.to_json`.
CONVERSION_FILE = "conversion.json"


@dataclass(frozen=True)
class Conversion:
    """The file that an adapter's weights were, or are to be, converted from."""

    file: str
    """Its name at the source."""
    sha256: str | None
    """Its SHA-256 (hex), if the source states it, or once it has been read."""
    weights_sha256: str | None = None
    """SHA-256 (hex) of the converted weights, if they are known."""

    def to_json(self) -> str:
        """Return it as the manifest asset has it."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: bytes) -> Conversion:
        """Parse the result of `to_json`."""
        return cls(**json.loads(text))


@dataclass(frozen=True)
class AdapterFiles:
    """An adapter's two files at their source; the weights have not been read yet."""

    source: str
    """As a manifest writes it; a Hub source with its commit."""
    version: str
    """State of a source that can change, e.g. its ETags; empty for one that cannot."""
    config: bytes
    weights: TransferableFile
    """As safetensors: a checkpoint of PyTorch is a `ConvertedFile`."""
    sha256: str | None
    """SHA-256 (hex) of `weights`, if it is known without reading them."""
    conversion: Conversion | None = None
    """None if the source has safetensors."""

    @property
    def stated_sha256(self) -> str | None:
        """SHA-256 (hex) of the weights file that the source has, if it is known without reading it."""
        return self.sha256 if self.conversion is None else self.conversion.sha256


def adapter_files(
    source: str,
    version: str,
    config: bytes,
    weights: tuple[str, TransferableFile],
    *,
    sha256: str | None,
    before_each: Callable[[], None] = lambda: None,
) -> AdapterFiles:
    """Return the files of an adapter, with a checkpoint of PyTorch as the safetensors file that it becomes.

    `weights` is the name of the weights file and the file, `sha256` (hex) its hash if the source states it.
    `before_each` is called before each request for a checkpoint, and may raise.
    """
    name, file = weights
    if name == WEIGHTS_FILE:
        return AdapterFiles(source, version, config, file, sha256)
    converted = ConvertedFile(source, file, before_each)
    return AdapterFiles(source, version, config, converted, None, Conversion(name, sha256))


def check_config_size(source: str, config: ReadableFile) -> None:
    """Refuse a config that is too large to be one; raises `SourceError`."""
    if config.size > MAX_CONFIG_BYTES:
        raise SourceError(
            source,
            f"its {CONFIG_FILE} has {config.size} bytes",
            "it is not a PEFT config: check the source",
        )
