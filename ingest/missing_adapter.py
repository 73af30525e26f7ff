"""The error about a place that has no adapter, which says what the place has instead."""

from __future__ import annotations

import re
from collections.abc import Collection, Container, Iterable, Sequence
from itertools import islice
from pathlib import Path

from adapters.hub_ids import is_hub_id
from adapters.source import HubSource, LocalSource, S3Source, SourceError
from adapters.source_remedies import is_archive, unpacking
from adapters.store.layout import CONFIG_FILE, WEIGHTS_FILE
from adapters.store.s3 import S3Client, error_code
from ingest.pytorch.converted_file import CHECKPOINT_FILE

#: Names in a message.
_NAMED = 5
#: Files that are looked at: one page of a listing in S3.
_MOST_FILES = 1000
#: Weights of a whole model as transformers saves them, in one file or in several, and their index.
_MODEL = re.compile(r"(pytorch_)?model(-\d+-of-\d+)?\.(safetensors|bin)(\.index\.json)?")
_SAVE = f"save the adapter with PEFT's save_pretrained, which writes {CONFIG_FILE} and {WEIGHTS_FILE}"


def weights_name(files: Container[str]) -> str | None:
    """Return the weights file to take of those that a source has; None if there is none.

    Safetensors if it is there. Of the other formats `adapter_model.bin` alone is an adapter's weights.
    """
    return next((file for file in (WEIGHTS_FILE, CHECKPOINT_FILE) if file in files), None)


def missing_on_hub(source: HubSource, repository: Collection[str]) -> SourceError:
    """Return the error about a folder without adapter; `repository` has the paths of all its files."""
    if source.folder in repository:
        folder = HubSource(source.repo, source.revision, source.folder.rpartition("/")[0])
        return SourceError(str(source), f"{source.folder!r} is a file", f"name its folder: {folder}")
    prefix = f"{source.folder}/" if source.folder else ""
    files = [path.removeprefix(prefix) for path in repository if path.startswith(prefix)]
    if source.folder and not files:
        found = _folders(repository)
        problem = f"the repository has no folder {source.folder!r}"
        missing = (
            _named_folders(source.root, problem, found)
            if found
            else _missing(source.root, problem, repository)
        )
        return SourceError(str(source), missing.problem, missing.remedy)
    where = "the folder" if source.folder else "the repository"
    return _missing(source, f"{where} has {_lacking(files)}", files)


def missing_in_s3(s3: S3Client, source: S3Source) -> SourceError:
    """Return the error about a prefix without adapter. Without `s3:ListBucket` it names no files."""
    try:
        page = s3.list_objects_v2(Bucket=source.bucket, Prefix=source.prefix, MaxKeys=_MOST_FILES)
    except s3.exceptions.ClientError as error:
        if error_code(error) == "NoSuchBucket":
            return SourceError(str(source), f"there is no bucket {source.bucket!r}", "check its spelling")
        return SourceError(str(source), f"the prefix has {_lacking(())}", "check its spelling")
    files = [item["Key"].removeprefix(source.prefix) for item in page.get("Contents", [])]
    if not files:
        return SourceError(str(source), "there is no object under this prefix", "check its spelling")
    return _missing(source, f"the prefix has {_lacking(files)}", files)


def missing_in_directory(source: str, directory: Path) -> SourceError | None:
    """Return the error about a directory without adapter, None if it has one; `source` is as it was written.

    Raises `OSError` if the directory cannot be read.
    """
    if directory.is_file():
        remedy = unpacking(source) if is_archive(source) else f"name its directory: {_parent(source)}"
        return SourceError(source, "it is a file, not a directory", remedy)
    if not directory.is_dir():
        return SourceError(source, "there is no such directory", "check the path" + _on_hub(source))
    names = {path.name for path in directory.iterdir() if path.is_file()}
    if CONFIG_FILE in names and weights_name(names):
        return None
    below = (path for path in directory.rglob("*") if path.is_file())
    files = [path.relative_to(directory).as_posix() for path in islice(below, _MOST_FILES)]
    return _missing(LocalSource(source), f"it has {_lacking(names)}", sorted({*files, *names}))


def _missing(source: HubSource | S3Source | LocalSource, problem: str, files: Iterable[str]) -> SourceError:
    """Return the error; `files` are the paths in the place, from the place."""
    found = sorted(files)
    if folders := _folders(found):
        return _named_folders(source, problem, folders)
    if archive := next(filter(is_archive, found), None):
        return SourceError(str(source), f"{problem}, but the archive {archive}", _unpacking(source, archive))
    if any(_MODEL.fullmatch(file) for file in found) and CONFIG_FILE not in found:
        return SourceError(
            str(source),
            f"{problem}: it is a whole model, not an adapter",
            "save the adapter with PEFT's save_pretrained before it is merged, or serve the model as a "
            "stage's base_model",
        )
    if any(file.endswith(".gguf") for file in found):
        return SourceError(
            str(source),
            f"{problem}, but a GGUF file, which llama.cpp alone reads",
            "name the PEFT adapter that it was made from",
        )
    return SourceError(str(source), f"{problem}; it has {_listed(found)}", _SAVE)


def _named_folders(
    source: HubSource | S3Source | LocalSource, problem: str, folders: Sequence[str]
) -> SourceError:
    count = "a folder has" if len(folders) == 1 else f"{len(folders)} folders have"
    which = "it" if len(folders) == 1 else "one of them"
    return SourceError(
        str(source),
        f"{problem}; {count} an adapter: {_listed(folders)}",
        f"name {which}, as {source.below(folders[0])}",
    )


def _folders(files: Collection[str]) -> list[str]:
    """Return the folders that have both files of an adapter."""
    names: dict[str, set[str]] = {}
    for file in files:
        folder, _, name = file.rpartition("/")
        names.setdefault(folder, set()).add(name)
    return sorted(
        folder for folder, found in names.items() if folder and CONFIG_FILE in found and weights_name(found)
    )


def _lacking(files: Container[str]) -> str:
    return f"no {WEIGHTS_FILE} and no {CHECKPOINT_FILE}" if CONFIG_FILE in files else f"no {CONFIG_FILE}"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return (", ".join(names[:_NAMED]) or "no files") + more


def _unpacking(source: HubSource | S3Source | LocalSource, archive: str) -> str:
    if isinstance(source, HubSource):
        return "unpack it, and publish the directory that has the adapter from your machine"
    return unpacking(f"{str(source).rstrip('/')}/{archive}")


def _parent(path: str) -> str:
    return path.rpartition("/")[0] or "."


def _on_hub(path: str) -> str:
    """Return the remedy for a repository of the Hub without `hf://`."""
    found = re.fullmatch(r"([^/@]+/[^/@]+)(@[\w./-]+)?", path)
    if found is None or not is_hub_id(found[1]):
        return ""
    return f"; a repository of the Hub is written hf://{found[1]}{found[2] or '@<commit>'}"
