"""Garbage collection of a store: unreferenced, expired and incomplete revisions, and stale uploads.

The bucket's lifecycle rules delete expired revisions in AWS; the other cases need the registry. Publishers
may run at the same time. Young objects are skipped, because their publication may be in progress. After each
deletion the registry is read again, and a revision that was published in the meantime is restored from the
bucket's object versions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from adapters.store.layout import ADAPTER_FILES, CONFIG_FILE
from adapters.store.s3 import is_absent
from loraserve.adapters.stage_store import Revision, StageStore, in_parallel

Kind = Literal["retire", "revive", "delete", "abort"]


@dataclass(frozen=True)
class Action:
    """One action, planned or done."""

    kind: Kind
    key: str
    """The prefix of a revision, or the key of an upload."""
    reason: str
    size: int = 0
    """Number of bytes that are freed."""


@dataclass(frozen=True)
class _Step:
    """An action with its target."""

    action: Action
    revision: Revision | None = None
    upload_id: str = ""


def collect(
    store: StageStore, *, min_age: timedelta, dry_run: bool = False, now: datetime | None = None
) -> list[Action]:
    """Clean up and return the actions done; a target that has changed in the meantime is skipped.

    Objects younger than `min_age` are skipped. Ages are measured from `now`.
    """
    now = now or datetime.now(UTC)
    steps = [*_revision_steps(store, now, min_age), *_upload_steps(store, now, min_age)]
    if dry_run:
        return [step.action for step in steps]
    return [step.action for step in steps if _do(store, step)]


def _revision_steps(store: StageStore, now: datetime, min_age: timedelta) -> Iterator[_Step]:
    # Objects before the registry: a revision that is published in between is then seen as published.
    revisions = sorted(store.revisions().values(), key=lambda revision: revision.prefix)
    current = {listed.entry.prefix for listed in store.list()}
    retired = in_parallel(lambda revision: store.retention.is_retired(revision.prefix), revisions)
    for revision, is_retired in zip(revisions, retired, strict=True):
        action = _action(store, revision, now - revision.modified, min_age, is_retired, current)
        if action is not None:
            yield _Step(action, revision)


def _action(
    store: StageStore,
    revision: Revision,
    age: timedelta,
    min_age: timedelta,
    is_retired: bool,
    current: set[str],
) -> Action | None:
    prefix = revision.prefix
    if prefix in current:
        return Action("revive", prefix, "its name points to it") if is_retired else None
    if not revision.is_complete:
        missing = ", ".join(file for file in ADAPTER_FILES if file not in revision.objects)
        if age < min_age:
            return None
        return Action("delete", prefix, f"incomplete for {_days(age)}: no {missing}", revision.size)
    if is_retired:
        if age < timedelta(days=store.stage.config.retention_days):
            return None
        return Action("delete", prefix, f"retired {_days(age)} ago", revision.size)
    return None if age < min_age else Action("retire", prefix, "no name points to it")


def _upload_steps(store: StageStore, now: datetime, min_age: timedelta) -> Iterator[_Step]:
    pages = store.s3.get_paginator("list_multipart_uploads").paginate(Bucket=store.bucket)
    for upload in (upload for page in pages for upload in page.get("Uploads", [])):
        parts = _parts(store, upload)
        # An upload that began long ago may still be in progress.
        last = max([upload["Initiated"], *(part["LastModified"] for part in parts)])
        if now - last >= min_age:
            size = sum(part["Size"] for part in parts)
            action = Action("abort", upload["Key"], f"upload without progress for {_days(now - last)}", size)
            yield _Step(action, upload_id=upload["UploadId"])


def _parts(store: StageStore, upload: dict[str, Any]) -> list[dict[str, Any]]:
    target = {"Bucket": store.bucket, "Key": upload["Key"], "UploadId": upload["UploadId"]}
    try:
        pages = list(store.s3.get_paginator("list_parts").paginate(**target))
    except store.s3.exceptions.ClientError as error:
        if is_absent(error):
            return []
        raise
    return [part for page in pages for part in page.get("Parts", [])]


def _do(store: StageStore, step: _Step) -> bool:
    """Do a step unless its reason is gone; return whether it was done."""
    if step.revision is None:
        return _abort(store, step.action.key, step.upload_id)
    prefix = step.revision.prefix
    match step.action.kind:
        case "retire":
            store.retention.retire(prefix)
        case "revive":
            if store.is_current(step.revision):
                store.retention.revive(prefix)
                return True
        case "delete":
            return _delete(store, step.revision)
    return not store.is_current(step.revision)


def _abort(store: StageStore, key: str, upload_id: str) -> bool:
    try:
        store.s3.abort_multipart_upload(Bucket=store.bucket, Key=key, UploadId=upload_id)
    except store.s3.exceptions.ClientError as error:
        if is_absent(error):
            return False
        raise
    return True


def _delete(store: StageStore, revision: Revision) -> bool:
    seen = store.revision(revision.name, revision.revision)
    if seen != revision or store.is_current(revision):
        return False
    # The config first: its presence promises the weights to readers.
    files = sorted(revision.objects, key=lambda file: file != CONFIG_FILE)
    markers = {
        key: store.s3.delete_object(Bucket=store.bucket, Key=key).get("VersionId")
        for key in (revision.prefix + file for file in files)
    }
    if not (store.is_current(revision) or store.revision(revision.name, revision.revision).objects):
        return True
    # It was published, or is being published: removing the delete markers restores the objects.
    for key, marker in markers.items():
        if marker is not None:
            store.s3.delete_object(Bucket=store.bucket, Key=key, VersionId=marker)
    if store.is_current(revision):
        # The publisher may have removed the retired mark while the objects were deleted.
        store.retention.revive(revision.prefix)
    return False


def _days(age: timedelta) -> str:
    count, unit = (age.days, "day") if age.days else (age.seconds // 3600, "hour")
    return f"{count} {unit}" + ("" if count == 1 else "s")
