"""An adapter in a directory on disk: the command line and synth read it."""

from __future__ import annotations

from pathlib import Path

from adapters.files import LocalFile
from adapters.source import SourceError
from adapters.store.layout import CONFIG_FILE
from ingest.adapter_files import AdapterFiles, adapter_files, check_config_size, no_weights, weights_name


def missing_file(directory: Path) -> str | None:
    """Return which file of an adapter a directory lacks, for a message; None if it has all."""
    files = _files(directory)
    if CONFIG_FILE not in files:
        return CONFIG_FILE
    return None if weights_name(files) else "weights (adapter_model.safetensors or adapter_model.bin)"


def read_directory(source: str, directory: Path) -> AdapterFiles:
    """Locate the files in a directory and read its config; `source` is the directory as the caller wrote it.

    Raises `SourceError`.
    """
    try:
        if not directory.is_dir():
            raise SourceError(source, "there is no such directory", "check the path")
        files = _files(directory)
        if CONFIG_FILE not in files:
            raise SourceError(source, f"it has no {CONFIG_FILE}", "save the adapter with PEFT")
        name = weights_name(files)
        if name is None:
            raise no_weights(source, "it")
        config = LocalFile(directory / CONFIG_FILE)
        check_config_size(source, config)
        weights = LocalFile(directory / name)
        weights.read(0, 1)
        return adapter_files(source, "", config.read(0, config.size), (name, weights), sha256=None)
    except OSError as error:
        raise SourceError(source, f"it cannot be read ({error.strerror})", "check its permissions") from error


def _files(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir() if path.is_file()} if directory.is_dir() else set()
