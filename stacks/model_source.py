"""A base model that lies in a local directory, and where it goes in the bucket."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters.store import content_digest, model_prefix, revision_of


@dataclass(frozen=True)
class LocalModel:
    """The sample base model of the laptop stage, or anyone's own small model."""

    name: str
    directory: Path

    @property
    def files(self) -> list[Path]:
        """The model's files, in order; folders are not followed."""
        return sorted(path for path in self.directory.iterdir() if path.is_file())

    @property
    def prefix(self) -> str:
        """Where the model lies in the bucket; its revision comes from its content."""
        digest = content_digest(
            {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in self.files}
        )
        return model_prefix(self.name, revision_of(digest))

    def pack(self, target: Path) -> dict[str, Any]:
        """Copy the files below `target`/model and return what the seeder is told of them."""
        folder = target / "model"
        folder.mkdir()
        for path in self.files:
            shutil.copyfile(path, folder / path.name)
        return {"prefix": self.prefix, "files": [path.name for path in self.files]}
