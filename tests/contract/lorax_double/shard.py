"""Port of router/client/src/client.rs, and of the shard's gRPC server: one asyncio loop on which all blocks.

While an adapter is downloaded or loaded, no token is generated for anyone, and no health check answered.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping, Set
from importlib import import_module
from typing import Any, TypeVar

from tests.contract.lorax_double import generate_pb2 as pb
from tests.contract.lorax_double.adapter import Adapter
from tests.contract.lorax_double.batch import Cache
from tests.contract.lorax_double.errors import ServerError
from tests.contract.lorax_double.model import Model
from tests.contract.lorax_double.options import Options
from tests.contract.lorax_double.queues import Entry, Generated
from tests.contract.lorax_double.sources import SOURCES

Asked = TypeVar("Asked")
Answered = TypeVar("Answered")


class Shard:
    """Client of the shard; raises `ServerError` for each failure on it."""

    def __init__(self, options: Options) -> None:
        # By this name, as LoRAX's command line imports it: see `site`.
        service: Any = import_module("lorax_server.server")
        self._service = service.LoraxService(Model(options), Cache(), [])
        self._loop = asyncio.Lock()
        self._batch_ids = itertools.count()
        #: What the router knows of the shard's cache.
        self._cached: list[pb.CachedBatch] = []

    async def health(self) -> None:
        await self._call(self._service.Health, pb.HealthRequest())

    async def prefill(self, entries: Mapping[int, Entry]) -> dict[int, Generated]:
        """The first token of each; if it fails, no request of the batch has one."""
        requests = [pb.Request(key, entry.request, entry.adapter.index) for key, entry in entries.items()]
        request = pb.PrefillRequest(pb.Batch(next(self._batch_ids), requests))
        response: pb.PrefillResponse = await self._call(self._service.Prefill, request)
        self._cached += [response.batch] if response.batch else []
        return response.generations

    async def decode(self) -> dict[int, Generated]:
        """Generate the next token of all running requests."""
        request = pb.DecodeRequest(self._cached)
        response: pb.DecodeResponse = await self._call(self._service.Decode, request)
        self._cached = [response.batch] if response.batch else []
        return response.generations

    async def filter_batch(self, ids: Set[int]) -> None:
        """Of the last batch only these requests stay in the shard's cache (`filter_batch` in infer.rs)."""
        if not self._cached or ids >= set(self._cached[-1].request_ids):
            return
        batch = self._cached.pop()
        kept = [request_id for request_id in batch.request_ids if request_id in ids]
        if kept:
            request = pb.FilterBatchRequest(batch.id, kept)
            response: pb.FilterBatchResponse = await self._call(self._service.FilterBatch, request)
            self._cached.append(response.batch)
        else:
            await self._call(self._service.ClearCache, pb.ClearCacheRequest(batch.id))

    async def download_adapter(self, adapter: Adapter) -> float:
        """The share of the memory for adapters that it will take."""
        source = _source(adapter, "downloading")
        request = pb.DownloadAdapterRequest(adapter.params, source, adapter.api_token)
        response: pb.DownloadAdapterResponse = await self._call(self._service.DownloadAdapter, request)
        return response.memory_fraction

    async def load_adapter(self, adapter: Adapter) -> None:
        source = _source(adapter, "loading")
        request = pb.LoadAdapterRequest(adapter.params, source, adapter.index, adapter.api_token)
        await self._call(self._service.LoadAdapter, request)

    async def offload_adapter(self, adapter: Adapter) -> None:
        request = pb.OffloadAdapterRequest(adapter.params, adapter.source, adapter.index)
        await self._call(self._service.OffloadAdapter, request)

    async def _call(self, method: Callable[[Asked, None], Awaitable[Answered]], request: Asked) -> Answered:
        async with self._loop:
            try:
                return await method(request, None)
            except Exception as error:
                raise ServerError(str(error)) from error


def _source(adapter: Adapter, doing: str) -> str:
    source = adapter.source.lower()
    if source not in SOURCES:
        ids = ",".join(adapter.params.ids)
        raise ServerError(f"Invalid source '{adapter.source}' when {doing} adapter '{ids}'")
    return source
