"""A base model in a local directory, and its prefix in the bucket."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from adapters import git_lfs
from adapters.files import LocalFile, sha256_of
from adapters.store.layout import content_digest, model_prefix, revision_of


@dataclass(frozen=True)
class LocalModel:
    """A local base model, such as the sample model of the laptop stage."""

    name: str
    directory: Path

    @property
    def files(self) -> list[Path]:
        """The model's files, in order; folders are not followed."""
        return sorted(path for path in self.directory.iterdir() if path.is_file())

    @property
    def pointers(self) -> list[str]:
        """The names of the files that are Git LFS pointers."""
        return [path.name for path in self.files if git_lfs.has_pointer(LocalFile(path))]

    @property
    def prefix(self) -> str:
        """Key prefix of the model in the bucket; its revision is derived from its content."""
        return model_prefix(self.name, revision_of(content_digest(self.sha256)))

    @cached_property
    def sha256(self) -> dict[str, str]:
        """SHA-256 (hex) by file name."""
        return {path.name: sha256_of(LocalFile(path)) for path in self.files}

    def pack(self, target: Path) -> dict[str, str]:
        """Copy the files below `target`/model and return the SHA-256 (hex) of each."""
        folder = target / "model"
        folder.mkdir()
        for path in self.files:
            shutil.copyfile(path, folder / path.name)
        return self.sha256
