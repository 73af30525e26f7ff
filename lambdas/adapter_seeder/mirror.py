"""Copying the base model into the bucket, for SageMaker to mount."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from adapters.errors import InvalidAdapter
from adapters.store.transfer import ContentMismatch, Transfers
from ingest.model_files import MODEL_CONFIG, ModelFiles
from lambdas.adapter_seeder.checkpoint import Record
from lambdas.adapter_seeder.thread_pool import Workers


def mirror(
    base_model: Callable[[], ModelFiles],
    prefix: str,
    *,
    workers: Workers,
    transfers: Transfers,
    stored: Mapping[str, int],
    record: Record,
) -> None:
    """Bring every file of the model below a prefix, its config last.

    `stored` are the keys that are there with their sizes. Raises `BadAdapters` (a `SourceError` if the model
    cannot be read) or `OutOfTime`.
    """
    if prefix + MODEL_CONFIG in stored:
        return

    def put(file: str) -> None:
        key, model = prefix + file, base_model()
        is_there = stored.get(key) == model.files[file].size
        if is_there and key in record.model_files:
            return
        try:
            if is_there and file in model.sha256:
                # Left by an attempt that ended before it had written that it had checked the file.
                transfers.verify(key, model.sha256[file])
            else:
                model.put(file, prefix, transfers)
        except ContentMismatch as mismatch:
            raise InvalidAdapter(model.name, f"base model: {mismatch}", "deploy again") from mismatch
        record.model_files.append(key)

    [files] = workers.map(lambda find: list(find().files), [base_model])
    workers.map(put, (file for file in files if file != MODEL_CONFIG))
    workers.map(put, [MODEL_CONFIG])
