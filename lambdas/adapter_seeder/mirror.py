"""Mirroring the base model into the bucket, for SageMaker to mount."""

from __future__ import annotations

from collections.abc import Mapping

from adapters.errors import InvalidAdapter
from adapters.store.transfer import ContentMismatch, Transfers
from ingest.model_files import MODEL_CONFIG
from lambdas.adapter_seeder.checkpoint import Checkpoint
from lambdas.adapter_seeder.served_model import ServedModel
from lambdas.adapter_seeder.thread_pool import ThreadPool


def mirror(
    served: ServedModel,
    prefix: str,
    *,
    pool: ThreadPool,
    transfers: Transfers,
    stored: Mapping[str, int],
    checkpoint: Checkpoint,
) -> None:
    """Upload every file of the model under a prefix, its config last.

    `stored` has the keys in the bucket with their sizes in bytes. Raises `BadAdapters` (a `SourceError` if
    a file cannot be read) or `OutOfTime`.
    """

    def put(file: str) -> None:
        key, model = prefix + file, served.files()
        is_there = stored.get(key) == model.files[file].size
        if is_there and key in checkpoint.model_files:
            return
        try:
            if is_there and file in model.sha256:
                # Uploaded by an invocation that ended before it saved that the file is checked.
                transfers.verify(key, model.sha256[file])
            else:
                model.put(file, prefix, transfers)
        except ContentMismatch as mismatch:
            raise InvalidAdapter(model.name, f"base model: {mismatch}", "deploy again") from mismatch
        checkpoint.model_files.append(key)

    files = list(served.files().files)
    pool.map(put, (file for file in files if file != MODEL_CONFIG))
    pool.map(put, [MODEL_CONFIG])
