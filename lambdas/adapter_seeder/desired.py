"""What the store must hold: the manifest asset, downloaded and unpacked for one invocation."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from adapters.publishing import S3Client


@dataclass(frozen=True)
class DesiredAdapter:
    """One source and the names under which it is published."""

    names: list[str]
    source: str
    sha256: str | None
    labels: dict[str, str]


@dataclass(frozen=True)
class DesiredState:
    """The manifest, and the folder with the local adapters and model that came with it."""

    adapters: list[DesiredAdapter]
    model_prefix: str | None
    model_files: list[str]
    folder: Path

    @classmethod
    @contextmanager
    def download(cls, s3: S3Client, bucket: str, key: str) -> Iterator[DesiredState]:
        """Fetch and unpack the asset; its files are gone when the context ends."""
        with TemporaryDirectory(prefix="manifest-") as name:
            folder = Path(name)
            archive = folder / "asset.zip"
            with archive.open("wb") as file:
                body = s3.get_object(Bucket=bucket, Key=key)["Body"]
                for chunk in body.iter_chunks(1024 * 1024):
                    file.write(chunk)
            with zipfile.ZipFile(archive) as unpacked:
                unpacked.extractall(folder)
            archive.unlink()
            yield cls.read(folder)

    @classmethod
    def read(cls, folder: Path) -> DesiredState:
        """Read an unpacked asset."""
        data: dict[str, Any] = json.loads((folder / "manifest.json").read_bytes())
        model = data["model"] or {"prefix": None, "files": []}
        return cls(
            adapters=[
                DesiredAdapter(item["names"], item["source"], item["sha256"], item["labels"])
                for item in data["adapters"]
            ],
            model_prefix=model["prefix"],
            model_files=model["files"],
            folder=folder,
        )
