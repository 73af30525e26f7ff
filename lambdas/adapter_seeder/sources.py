"""Fetching an adapter's two files from where the manifest says they are."""

from __future__ import annotations

import os
import re
import urllib.error
import urllib.request
from pathlib import Path

from adapters.errors import AdapterError
from adapters.publishing import S3Client, error_code
from adapters.store import ADAPTER_FILES, WEIGHTS_FILE

#: Longer silence than this from the Hub is an error.
TIMEOUT_SECONDS = 30
_CHUNK_BYTES = 1024 * 1024
_HUB = re.compile(r"^hf://(?P<repo>[^@]+)@(?P<revision>.+)$")
_S3 = re.compile(r"^s3://(?P<bucket>[^/]+)/(?P<prefix>.+/)$")


class SourceError(AdapterError):
    """A source that could not be read."""


def fetch(name: str, source: str, s3: S3Client, asset: Path, target: Path) -> str:
    """Put the adapter's files into `target`; returns the source with what it resolved to.

    `asset` is the unpacked manifest asset, where local adapters lie. Raises `SourceError`.
    """
    if source.startswith("asset://"):
        for file in ADAPTER_FILES:
            (target / file).symlink_to(asset / source.removeprefix("asset://") / file)
        return source
    hub, bucket = _HUB.fullmatch(source), _S3.fullmatch(source)
    if hub is not None:
        return _fetch_from_hub(name, hub["repo"], hub["revision"], target)
    if bucket is not None:
        _fetch_from_s3(name, s3, bucket["bucket"], bucket["prefix"], target)
        return source
    raise SourceError(name, f"the source {source!r} is of no known kind", "use hf://, s3:// or a local path")


def _fetch_from_s3(name: str, s3: S3Client, bucket: str, prefix: str, target: Path) -> None:
    for file in ADAPTER_FILES:
        try:
            body = s3.get_object(Bucket=bucket, Key=prefix + file)["Body"]
        except s3.exceptions.ClientError as error:
            raise SourceError(
                name,
                f"s3://{bucket}/{prefix}{file}: {error_code(error)}",
                "check that it exists and that the seeder's role may read it",
            ) from error
        with (target / file).open("wb") as out:
            for chunk in body.iter_chunks(_CHUNK_BYTES):
                out.write(chunk)


def _fetch_from_hub(name: str, repo: str, revision: str, target: Path) -> str:
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    commit = revision
    for file in ADAPTER_FILES:
        url = f"{endpoint}/{repo}/resolve/{revision}/{file}"
        try:
            with (
                urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as response,  # noqa: S310 — https or a test's http
                (target / file).open("wb") as out,
            ):
                # A branch moves: the first answer's commit is the one that all files come from.
                commit = revision = response.headers.get("X-Repo-Commit") or revision
                expected = response.headers.get("Content-Length")
                written = sum(out.write(chunk) for chunk in iter(lambda: response.read(_CHUNK_BYTES), b""))
        except urllib.error.HTTPError as error:
            raise SourceError(
                name, f"{repo}@{revision} {file}: HTTP {error.code}", _remedy(error.code, file)
            ) from error
        except OSError as error:
            raise SourceError(name, f"{repo}@{revision} {file}: {error}", "deploy again") from error
        if expected is not None and written != int(expected):
            raise SourceError(name, f"{file} ended after {written} of {expected} bytes", "deploy again")
    return f"hf://{repo}@{commit}"


def _remedy(status: int, file: str) -> str:
    if status in {401, 403}:
        return "the repository is private or gated; only public ones can be read"
    if status == 404:
        hint = "; .bin weights are not taken, convert them to safetensors" if file == WEIGHTS_FILE else ""
        return f"check the repository, the commit and that it is a PEFT adapter{hint}"
    return "the Hub is busy or broken: deploy again later"
