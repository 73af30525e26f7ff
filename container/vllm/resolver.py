"""vLLM plugin that downloads adapters from the adapter bucket on first use.

It runs in vLLM's process. vLLM calls it with the engine id, and answers 404 if it returns None. So errors are
logged here, and written for the gateway (`container.vllm.problems`).
"""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

from vllm.lora.request import LoRARequest
from vllm.lora.resolver import LoRAResolver, LoRAResolverRegistry

from adapters.errors import InvalidName
from container.gateway.adapters.download import (
    AdapterDownload,
    Download,
    DownloadError,
    download_client,
    parse_engine_id,
)
from container.vllm.problems import leave_problem

_log = logging.getLogger(__name__)


class AdapterStoreResolver(LoRAResolver):
    """Resolves engine ids `adapters/<name>/<revision>/` only."""

    def __init__(self, download: Download, cache: Path) -> None:
        """`download` stores a revision in a directory of `cache`."""
        self._download = download
        self._cache = cache
        self._fetching: dict[str, asyncio.Task[Path]] = {}

    async def resolve_lora(self, base_model_name: str, lora_name: str) -> LoRARequest | None:
        """Return the adapter with this engine id, None if it does not exist or cannot be served."""
        try:
            name, revision = parse_engine_id(lora_name)
        except InvalidName as error:
            _log.warning("not an adapter of the store: %s", error)
            return None
        try:
            directory = await asyncio.shield(self._fetch(lora_name, name, revision))
        except DownloadError as error:
            _log.error("adapter %s could not be fetched: %s", lora_name, error)
            leave_problem(self._cache, lora_name, error.error_type, str(error))
            return None
        return LoRARequest(lora_name=lora_name, lora_int_id=lora_int_id(revision), lora_path=str(directory))

    def _fetch(self, engine_id: str, name: str, revision: str) -> asyncio.Task[Path]:
        """Return the task of a download; concurrent requests for one adapter share it."""
        if engine_id not in self._fetching:
            task = asyncio.create_task(asyncio.to_thread(self._download.fetch, name, revision))
            self._fetching[engine_id] = task
            task.add_done_callback(lambda _: self._fetching.pop(engine_id))
        return self._fetching[engine_id]


def adapter_directory(cache: Path, engine_id: str) -> Path:
    """Return the directory of an adapter's files in the cache."""
    return cache / engine_id


def lora_int_id(revision: str) -> int:
    """Return a deterministic number for the adapter, from 1 to 2**31 - 1.

    vLLM 0.32.0 replaces it with its own counter, but requires one above 0.
    """
    return int(revision, 16) % (2**31 - 1) + 1


def register() -> None:
    """Register the resolver; vLLM calls this in each of its processes."""
    bucket = os.environ["ADAPTER_BUCKET"]
    cache = Path(os.environ["ADAPTER_CACHE_DIR"])
    modules = os.environ.get("ADAPTER_TARGET_MODULES")
    download = AdapterDownload(
        download_client(None),
        bucket,
        cache,
        adapter_directory,
        frozenset(modules.split(",")) if modules else None,
    )
    resolver = AdapterStoreResolver(download, cache)
    LoRAResolverRegistry.register_resolver("adapter store", resolver)
