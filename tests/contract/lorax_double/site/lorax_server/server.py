"""Port of `LoraxService` in server/lorax_server/server.py: the shard's calls, executed one after the other.

What LoRAX does on the shard's loop itself has a thread here; shard.py lets no other call in meanwhile.
"""

import asyncio
from typing import Any

from tests.contract.lorax_double import generate_pb2
from tests.contract.lorax_double.adapter import BASE_MODEL_ADAPTER_ID, AdapterParameters
from tests.contract.lorax_double.batch import Batch, Cache
from tests.contract.lorax_double.model import Model


class LoraxService:
    def __init__(self, model: Model, cache: Cache, server_urls: list[str]) -> None:
        self.cache = cache
        self.model = model
        self.server_urls = server_urls

    async def Health(self, request: generate_pb2.HealthRequest, context: Any) -> generate_pb2.HealthResponse:
        return generate_pb2.HealthResponse()

    async def ClearCache(
        self, request: generate_pb2.ClearCacheRequest, context: Any
    ) -> generate_pb2.ClearCacheResponse:
        self.cache.delete(request.id)
        return generate_pb2.ClearCacheResponse()

    async def FilterBatch(
        self, request: generate_pb2.FilterBatchRequest, context: Any
    ) -> generate_pb2.FilterBatchResponse:
        filtered_batch = self.cache.pop(request.batch_id).filter(request.request_ids)
        self.cache.set(filtered_batch)
        return generate_pb2.FilterBatchResponse(filtered_batch.to_pb())

    async def Prefill(
        self, request: generate_pb2.PrefillRequest, context: Any
    ) -> generate_pb2.PrefillResponse:
        generations, next_batch = await self.model.generate_token(Batch.from_pb(request.batch))
        self.cache.set(next_batch)
        return generate_pb2.PrefillResponse(generations, next_batch.to_pb() if next_batch else None)

    async def Decode(self, request: generate_pb2.DecodeRequest, context: Any) -> generate_pb2.DecodeResponse:
        batches = [self.cache.pop(batch.id) for batch in request.batches]
        batch = Batch.concatenate(batches) if len(batches) > 1 else batches[0]
        generations, next_batch = await self.model.generate_token(batch)
        self.cache.set(next_batch)
        return generate_pb2.DecodeResponse(generations, next_batch.to_pb() if next_batch else None)

    async def DownloadAdapter(
        self, request: generate_pb2.DownloadAdapterRequest, context: Any
    ) -> generate_pb2.DownloadAdapterResponse:
        memory_fraction = await asyncio.to_thread(self.model.download_adapter, request)
        return generate_pb2.DownloadAdapterResponse(True, memory_fraction)

    async def LoadAdapter(
        self, request: generate_pb2.LoadAdapterRequest, context: Any
    ) -> generate_pb2.LoadAdapterResponse:
        parameters, index = request.adapter_parameters, request.adapter_index
        if is_base_model(parameters):
            return generate_pb2.LoadAdapterResponse(loaded=False)
        if index in self.model.loaded_adapters:
            return generate_pb2.LoadAdapterResponse(loaded=True)
        source, token = request.adapter_source, request.api_token
        await asyncio.to_thread(self.model.load_adapter, parameters, source, index, token)
        return generate_pb2.LoadAdapterResponse(loaded=True)

    async def OffloadAdapter(
        self, request: generate_pb2.OffloadAdapterRequest, context: Any
    ) -> generate_pb2.OffloadAdapterResponse:
        if is_base_model(request.adapter_parameters):
            return generate_pb2.OffloadAdapterResponse(offloaded=False)
        return generate_pb2.OffloadAdapterResponse(self.model.offload_adapter(request.adapter_index))


def is_base_model(adapter_parameters: AdapterParameters) -> bool:
    """utils/adapter.py."""
    return list(adapter_parameters.ids) == [BASE_MODEL_ADAPTER_ID]
