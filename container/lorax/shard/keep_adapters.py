"""LoRAX's shard keeps the weights of an adapter for as long as an answer needs them.

Source: server/lorax_server/server.py, models/model.py and adapters/lora.py of LoRAX 0.12.1. There the weights
are gone with `OffloadAdapter`, and where weights are missing the base model goes on: the caller gets half an
answer of the adapter and half an answer of the base model, with status 200. It happens when the router takes
an idle adapter off the GPU (`update_adapters` in router/src/queue.rs): the command waits in the loader's
queue, behind loads that take long, and until it is carried out the router still takes the adapter for ready.

With this change an offload is acknowledged at once and carried out later: before the next load of an adapter
that is not on the GPU, and then only if no batch in the shard's cache uses the adapter. A batch that comes
after even that has its adapters loaded again first, or fails; it is never computed without them.

Memory: the router counts the memory as free from when it sends the offload. Between loads that is the memory
that LoRAX held anyway; nothing is above the reservation until the next load, and from then on only adapters
with requests in flight are. Each of them was resident when its request was taken into a batch, and goes with
the first load after its last token. If the GPU has no room for that, the load fails with LoRAX's own error.

Errors are those of LoRAX's own methods. What fails in an offload that was put off is not the fault of the
adapter being loaded: LoRAX logs it, and it is tried again before the next load.

Each process of a model that is spread over GPUs gets all calls and decides alike. Preloaded adapters and the
base model are never loaded by `LoadAdapter`, so LoRAX's own methods deal with them. The last request to load
is remembered per index, as long as the process lives; so does the router with its indices.

Python 3.10, standard library only.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import inspect
from typing import Any

_WRAPPED = ("LoadAdapter", "OffloadAdapter", "Prefill")
_PARAMETERS = ["self", "request", "context"]


class _Kept:
    """What one service remembers, by adapter index."""

    def __init__(self) -> None:
        #: The last `LoadAdapterRequest` of each adapter that a request has loaded.
        self.loads: dict[int, Any] = {}
        #: The last `OffloadAdapterRequest` of each.
        self.offloads: dict[int, Any] = {}
        #: On the GPU although the router takes them for offloaded.
        self.put_off: set[int] = set()


def keep_adapters_in_use(service: type) -> None:
    """Change LoRAX's `LoraxService`; raises `RuntimeError` if it is not what this is written for."""
    for name in _WRAPPED:
        # Its own: those of the class that it inherits from do nothing.
        method = vars(service).get(name)
        if not inspect.iscoroutinefunction(method) or [*inspect.signature(method).parameters] != _PARAMETERS:
            raise _misfit(service, f"has no `async def {name}(self, request, context)`")
    # Any: the names are known to be there, and LoRAX has no types.
    lorax: Any = service
    init, load, offload, prefill = lorax.__init__, lorax.LoadAdapter, lorax.OffloadAdapter, lorax.Prefill
    messages = offload.__globals__.get("generate_pb2")
    if not hasattr(messages, "OffloadAdapterResponse"):
        raise _misfit(service, "has no `generate_pb2.OffloadAdapterResponse` in its module")

    @functools.wraps(init)
    def __init__(self: Any, *arguments: Any, **options: Any) -> None:
        init(self, *arguments, **options)
        if not isinstance(getattr(getattr(self, "cache", None), "cache", None), dict):
            raise _misfit(service, "has no dict `cache.cache`")
        if not isinstance(getattr(getattr(self, "model", None), "loaded_adapters", None), set):
            raise _misfit(service, "has no set `model.loaded_adapters`")
        self._kept = _Kept()

    async def make_room(self: Any, context: Any, needed: set[int]) -> None:
        """Carry out the offloads that were put off, but for the adapters that an answer needs."""
        kept = self._kept
        in_use = needed.union(*(_adapters(batch) for batch in self.cache.cache.values()))
        for index in sorted(kept.put_off - in_use):
            with contextlib.suppress(Exception):
                await offload(self, kept.offloads[index], context)
        kept.put_off &= self.model.loaded_adapters

    @functools.wraps(load)
    async def load_adapter(self: Any, request: Any, context: Any) -> Any:
        kept, index = self._kept, request.adapter_index
        kept.put_off.discard(index)
        if index in self.model.loaded_adapters:
            return await load(self, request, context)
        await make_room(self, context, {index})
        # LoRAX writes into the request.
        asked = copy.deepcopy(request)
        response = await load(self, request, context)
        if index in self.model.loaded_adapters:
            kept.loads[index] = asked
        return response

    @functools.wraps(offload)
    async def offload_adapter(self: Any, request: Any, context: Any) -> Any:
        kept, index = self._kept, request.adapter_index
        if index not in kept.loads or index not in self.model.loaded_adapters:
            return await offload(self, request, context)
        kept.offloads[index] = request
        kept.put_off.add(index)
        return messages.OffloadAdapterResponse(offloaded=True)

    @functools.wraps(prefill)
    async def prefill_batch(self: Any, request: Any, context: Any) -> Any:
        kept = self._kept
        needed = {each.adapter_index for each in request.batch.requests}
        missing = sorted((needed & kept.loads.keys()) - self.model.loaded_adapters)
        if missing:
            await make_room(self, context, needed)
        for index in missing:
            await load(self, copy.deepcopy(kept.loads[index]), context)
            # The router still takes it for offloaded.
            kept.put_off.add(index)
        return await prefill(self, request, context)

    lorax.__init__ = __init__
    lorax.LoadAdapter, lorax.OffloadAdapter, lorax.Prefill = load_adapter, offload_adapter, prefill_batch


def _adapters(batch: Any) -> set[int]:
    """The adapters of a `FlashCausalLMBatch` or `CausalLMBatch`."""
    if batch.adapter_meta is None:
        # A part of a batch that is still in its prefill (`FlashCausalLMBatch.filter`).
        return {request.adapter_index for request in batch.requests}
    found: set[int] = batch.adapter_meta.adapter_set
    return found


def _misfit(service: type, lack: str) -> RuntimeError:
    return RuntimeError(
        f"{service.__module__}.{service.__qualname__} {lack}: this image's change to LoRAX is for version "
        "0.12.1, and without it LoRAX may answer from the base model"
    )
