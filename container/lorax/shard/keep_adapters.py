"""A change to LoRAX's shard: it keeps an adapter's weights on the GPU while a request uses them.

Source: server/lorax_server/server.py, models/model.py and adapters/lora.py of LoRAX 0.12.1. There
`OffloadAdapter` removes the weights at once, and generation continues with the base model where weights are
missing: half of an answer comes from the adapter, half from the base model, with status 200. The cause is the
router's offload of an idle adapter (`update_adapters` in router/src/queue.rs): the command waits in the
loader's queue, behind slow loads, and until it runs the router still treats the adapter as ready.

With this change an offload is acknowledged at once and deferred: it runs before the next load of an adapter
that is not on the GPU, and only if no batch in the shard's cache uses the adapter. A batch that arrives after
its adapters were offloaded has them loaded again first, or fails; it is never computed without them.

Memory: the router counts the memory as free once it has sent the offload. Until the next load nothing exceeds
the reservation. From then on only adapters with requests in flight do. Each of them was resident when its
request joined a batch, and is offloaded at the first load after its last token. If the GPU's memory does not
suffice, the load fails with LoRAX's own error.

Errors are those of LoRAX's methods. An error of a deferred offload is not one of the adapter being loaded:
LoRAX logs it, and the offload is retried before the next load.

Each process of a model that is sharded over GPUs receives all calls and decides alike. `LoadAdapter` never
loads preloaded adapters and the base model, so LoRAX's methods handle them unchanged. The last load request
per index is kept as long as the process runs; so are the router's indices.

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
    """Requests and deferred offloads of one service, by adapter index."""

    def __init__(self) -> None:
        #: The last `LoadAdapterRequest` of each loaded adapter.
        self.loads: dict[int, Any] = {}
        #: The last `OffloadAdapterRequest` of each adapter.
        self.offloads: dict[int, Any] = {}
        #: Deferred: on the GPU, though offloaded from the router's point of view.
        self.deferred: set[int] = set()


def keep_adapters_in_use(service: type) -> None:
    """Change LoRAX's `LoraxService`; raise `RuntimeError` if it is not the one of 0.12.1."""
    for name in _WRAPPED:
        # Only methods of the class itself: the inherited ones do nothing.
        method = vars(service).get(name)
        if not inspect.iscoroutinefunction(method) or [*inspect.signature(method).parameters] != _PARAMETERS:
            raise _misfit(service, f"has no `async def {name}(self, request, context)`")
    # Any: the names were checked above, and LoRAX has no type hints.
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
        """Run the deferred offloads, except those of adapters that a batch uses."""
        kept = self._kept
        in_use = needed.union(*(_adapters(batch) for batch in self.cache.cache.values()))
        for index in sorted(kept.deferred - in_use):
            with contextlib.suppress(Exception):
                await offload(self, kept.offloads[index], context)
        kept.deferred &= self.model.loaded_adapters

    @functools.wraps(load)
    async def load_adapter(self: Any, request: Any, context: Any) -> Any:
        kept, index = self._kept, request.adapter_index
        kept.deferred.discard(index)
        if index in self.model.loaded_adapters:
            return await load(self, request, context)
        await make_room(self, context, {index})
        # LoRAX modifies the request.
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
        kept.deferred.add(index)
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
            # It is still offloaded from the router's point of view.
            kept.deferred.add(index)
        return await prefill(self, request, context)

    lorax.__init__ = __init__
    lorax.LoadAdapter, lorax.OffloadAdapter, lorax.Prefill = load_adapter, offload_adapter, prefill_batch


def _adapters(batch: Any) -> set[int]:
    """Return the adapters of a `FlashCausalLMBatch` or `CausalLMBatch`."""
    if batch.adapter_meta is None:
        # A filtered batch that is still in its prefill (`FlashCausalLMBatch.filter`).
        return {request.adapter_index for request in batch.requests}
    found: set[int] = batch.adapter_meta.adapter_set
    return found


def _misfit(service: type, lack: str) -> RuntimeError:
    return RuntimeError(
        f"{service.__module__}.{service.__qualname__} {lack}: this image's change to LoRAX is for version "
        "0.12.1, and without it LoRAX may answer from the base model"
    )
