"""An adapter in a directory on disk: the command line and synth read it."""

from __future__ import annotations

from pathlib import Path

from adapters.files import LocalFile
from adapters.source import SourceError
from adapters.store.layout import CONFIG_FILE, WEIGHTS_FILE
from ingest.adapter_files import AdapterFiles, adapter_files, check_config_size
from ingest.missing_adapter import missing_in_directory
from ingest.pytorch.converted_file import CHECKPOINT_FILE


def check_directory(source: str, directory: Path) -> None:
    """Check that a directory has an adapter's files; `source` is the directory as the caller wrote it.

    Raises `SourceError`.
    """
    try:
        missing = missing_in_directory(source, directory)
    except OSError as error:
        raise _unreadable(source, error) from error
    if missing is not None:
        raise missing


def read_directory(source: str, directory: Path) -> AdapterFiles:
    """Locate the files in a directory and read its config; `source` is the directory as the caller wrote it.

    Raises `SourceError`.
    """
    check_directory(source, directory)
    name = WEIGHTS_FILE if (directory / WEIGHTS_FILE).is_file() else CHECKPOINT_FILE
    try:
        config = LocalFile(directory / CONFIG_FILE)
        check_config_size(source, config)
        weights = LocalFile(directory / name)
        weights.read(0, 1)
        return adapter_files(source, "", config.read(0, config.size), (name, weights), sha256=None)
    except OSError as error:
        raise _unreadable(source, error) from error


def _unreadable(source: str, error: OSError) -> SourceError:
    return SourceError(source, f"it cannot be read ({error.strerror})", "check its permissions")
