"""Port of server/lorax_server/models/model.py, and of `download_adapter` in utils/adapter.py."""

import asyncio
import time

from tests.contract.lorax_double import generate_pb2
from tests.contract.lorax_double.abort import CRASHED, end
from tests.contract.lorax_double.adapter import BASE_MODEL_ADAPTER_ID, AdapterParameters
from tests.contract.lorax_double.adapter_files import download_adapter_weights, load_module_map
from tests.contract.lorax_double.batch import Batch, Weights
from tests.contract.lorax_double.options import Options
from tests.contract.lorax_double.queues import Generated

#: What a prompt can hold to make things go wrong.
OUT_OF_MEMORY, SLOW, CRASH = "[[oom]]", "[[slow]]", "[[crash]]"
_OUT_OF_MEMORY = (
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 22.06 GiB of which "
    "1.12 GiB is free. Process 42 has 20.93 GiB memory in use."
)


class Model:
    def __init__(self, options: Options) -> None:
        self._options = options
        self._weights: dict[int, Weights] = {}
        self.loaded_adapters: set[int] = set()

    async def generate_token(self, batch: Batch) -> tuple[dict[int, Generated], Batch | None]:
        """The next token of each request, and the batch unless it is finished."""
        if any(CRASH in running.inputs for running in batch.requests):
            end(CRASHED, "Shard 0 crashed")
        if any(OUT_OF_MEMORY in running.inputs for running in batch.requests):
            raise RuntimeError(_OUT_OF_MEMORY)
        slow = any(SLOW in running.inputs for running in batch.requests)
        await asyncio.sleep(self._options.slow_token_seconds if slow else self._options.token_seconds)
        generated = {
            running.id: running.step(self._weights.get(running.adapter_index, ()))
            for running in batch.requests
        }
        stopped = all(each.finish_reason is not None for each in generated.values())
        return generated, None if stopped else batch

    def download_adapter(self, request: generate_pb2.DownloadAdapterRequest) -> float:
        """The share of the memory for adapters that it will take."""
        ids = [each for each in request.adapter_parameters.ids if each != BASE_MODEL_ADAPTER_ID]
        if not ids:
            return 0.0
        time.sleep(self._options.download_seconds)
        source, token = request.adapter_source, request.api_token
        size = sum(download_adapter_weights(each, source, token) for each in ids)
        room = self._options.adapter_memory_size
        if room == 0:
            remedy = "Please set a memory reservation for adapters."
            raise ValueError(f"Memory reserved for adapters is 0. {remedy}")
        if size > room:
            sizes = f"{size} / {room} bytes"
            raise ValueError(f"Adapter {ids[-1]} is larger than adapter memory reservation: {sizes}")
        return size / room

    def load_adapter(
        self, parameters: AdapterParameters, source: str, index: int, api_token: str | None
    ) -> None:
        time.sleep(self._options.load_seconds)
        if BASE_MODEL_ADAPTER_ID in parameters.ids:
            raise ValueError("Base model adapter cannot be merged.")
        model = self._options.model_id
        maps = [load_module_map(model, each, source, api_token) for each in parameters.ids]
        self._weights[index] = tuple(each.weights() for each in maps)
        self.loaded_adapters.add(index)

    def offload_adapter(self, index: int) -> bool:
        if index not in self.loaded_adapters:
            return False
        del self._weights[index]
        self.loaded_adapters.remove(index)
        return True
