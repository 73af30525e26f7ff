"""A base model in a local directory, and its prefix in the bucket."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from adapters import git_lfs
from adapters.files import LocalFile, sha256_of
from adapters.store.layout import content_digest, model_prefix, revision_of
from adapters.validation.base_model import InvalidBaseModel


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
    def revision(self) -> str:
        """The revision, derived from the content."""
        return revision_of(content_digest(self.sha256))

    @property
    def prefix(self) -> str:
        """Key prefix of the model in the bucket."""
        return model_prefix(self.name, self.revision)

    @cached_property
    def sha256(self) -> dict[str, str]:
        """SHA-256 (hex) by file name."""
        return {path.name: sha256_of(LocalFile(path)) for path in self.files}

    def check_files(self) -> None:
        """Check that no file is a Git LFS pointer, the tokenizer included; raises `InvalidBaseModel`."""
        for path in self.files:
            try:
                is_pointer = git_lfs.has_pointer(LocalFile(path))
            except OSError as error:
                problem = f"its {path.name} cannot be read ({error.strerror})"
                raise InvalidBaseModel(self.name, problem, "check its permissions") from error
            if is_pointer:
                raise InvalidBaseModel(self.name, f"its {path.name} {git_lfs.PROBLEM}", git_lfs.REMEDY)

    def pack(self, target: Path) -> dict[str, str]:
        """Copy the files below `target`/model and return the SHA-256 (hex) of each."""
        folder = target / "model"
        folder.mkdir()
        for path in self.files:
            shutil.copyfile(path, folder / path.name)
        return self.sha256
