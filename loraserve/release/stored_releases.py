"""The releases in a stage's bucket: those that it can be rolled back to.

releases/<id>/release.tar
releases/<id>/release.json   written last and deleted first: where it exists, the archive is complete
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from adapters.store.layout import RELEASES_PREFIX
from adapters.store.s3 import is_absent
from loraserve.release.documents import Documents
from loraserve.release.release import ARCHIVE_FILE, RELEASE_FILE, Release, ReleaseError


def stored_releases(documents: Documents) -> list[str]:
    """List the ids of the stored releases, sorted."""
    keys = documents.keys(RELEASES_PREFIX)
    ids = (key.removeprefix(RELEASES_PREFIX).removesuffix(f"/{RELEASE_FILE}") for key in keys)
    return [found for key, found in zip(keys, ids, strict=True) if key == _key(found, RELEASE_FILE)]


def store_release(documents: Documents, stage: str, release: Release, archive: Path) -> None:
    """Store a release; does nothing if it is stored. Raises `ReleaseError` for other bytes of the same id."""
    key, body = _key(release.release, RELEASE_FILE), archive.with_name(RELEASE_FILE).read_bytes()
    stored = documents.get(key)
    if stored.body is None:
        # An archive without its description is that of an interrupted upload.
        documents.s3.upload_file(str(archive), documents.bucket, _key(release.release, ARCHIVE_FILE))
        stored = documents.put(key, body, stored)
    if stored.body != body:
        raise ReleaseError(
            f"stage {stage!r} has another release {release.release}, with other bytes; build the release "
            "from a new commit"
        )


def fetch_release(documents: Documents, stage: str, release: str, folder: Path) -> None:
    """Write a stored release to a folder, unchecked; raises `ReleaseError` if the stage does not have it."""
    for file in (RELEASE_FILE, ARCHIVE_FILE):
        try:
            documents.s3.download_file(documents.bucket, _key(release, file), str(folder / file))
        except documents.s3.exceptions.ClientError as error:
            if not is_absent(error):
                raise
            stored = ", ".join(stored_releases(documents)) or "none"
            raise ReleaseError(
                f"stage {stage!r} does not have release {release}, it has {stored}: name one of them, or "
                "take the release from the pipeline that built it"
            ) from error


def delete_releases(documents: Documents, *, kept: Collection[str | None]) -> None:
    """Delete all releases but those that are `kept`; the bucket keeps the old versions for some days."""
    for release in stored_releases(documents):
        if release not in kept:
            for file in (RELEASE_FILE, ARCHIVE_FILE):
                documents.s3.delete_object(Bucket=documents.bucket, Key=_key(release, file))


def _key(release: str, file: str) -> str:
    return f"{RELEASES_PREFIX}{release}/{file}"
