"""An adapter's two files on local disk: reading, hashing and checking them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from adapters.errors import InvalidAdapter
from adapters.store import CONFIG_FILE, WEIGHTS_FILE, content_digest
from adapters.validation import HEADER_LENGTH_BYTES, AdapterFacts, check_adapter, header_length, tensor_shapes

#: A PEFT config is a few kB; a larger file is something else.
MAX_CONFIG_BYTES = 256 * 1024
_CHUNK_BYTES = 1024 * 1024


def sha256_of(path: Path) -> str:
    """SHA-256 (hex) of a file, read in chunks."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


@dataclass(frozen=True)
class AdapterFiles:
    """A directory with an adapter's config and weights, checked."""

    directory: Path
    facts: AdapterFacts
    sha256: dict[str, str]
    """SHA-256 (hex) by file name."""

    @property
    def digest(self) -> str:
        """The content digest, of which the revision is the start."""
        return content_digest(self.sha256)

    @property
    def size(self) -> int:
        """Bytes of the weights file."""
        return (self.directory / WEIGHTS_FILE).stat().st_size

    @classmethod
    def check(
        cls,
        name: str,
        directory: Path,
        *,
        engine: str,
        max_rank: int,
        base_model: str,
        sha256: str | None = None,
    ) -> AdapterFiles:
        """Check the files of `directory`; `sha256` is what the weights must hash to, if known.

        Raises `InvalidAdapter` with what is wrong. Tensor data is hashed, never held in memory.
        """
        for file in (CONFIG_FILE, WEIGHTS_FILE):
            if not (directory / file).is_file():
                raise InvalidAdapter(name, f"{file} is missing", "save the adapter with PEFT as safetensors")
        digests = {file: sha256_of(directory / file) for file in (CONFIG_FILE, WEIGHTS_FILE)}
        if sha256 is not None and digests[WEIGHTS_FILE] != sha256:
            raise InvalidAdapter(
                name, f"its weights hash to {digests[WEIGHTS_FILE]}, the manifest says {sha256}", "check both"
            )
        facts = check_adapter(
            name,
            _read_config(name, directory / CONFIG_FILE),
            _read_shapes(name, directory / WEIGHTS_FILE),
            engine=engine,
            max_rank=max_rank,
            base_model=base_model,
        )
        return cls(directory, facts, digests)


def _read_config(name: str, path: Path) -> dict[str, object]:
    if path.stat().st_size > MAX_CONFIG_BYTES:
        raise InvalidAdapter(
            name, f"{CONFIG_FILE} has {path.stat().st_size} bytes", "it is not a PEFT config"
        )
    try:
        config = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InvalidAdapter(name, f"{CONFIG_FILE} is not JSON", "save the adapter again") from error
    if not isinstance(config, dict):
        raise InvalidAdapter(name, f"{CONFIG_FILE} is not a JSON object", "save the adapter again")
    return config


def _read_shapes(name: str, path: Path) -> dict[str, tuple[int, ...]]:
    size = path.stat().st_size
    with path.open("rb") as file:
        length = header_length(name, file.read(HEADER_LENGTH_BYTES), size)
        return tensor_shapes(name, file.read(length), size)
