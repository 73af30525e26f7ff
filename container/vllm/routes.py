"""vLLM plugin with routes that vLLM lacks: the engine's release, resident adapters, unload, pin.

vLLM loads it in the process of its HTTP server (entry points of the group `vllm.endpoint_plugins`). The
worker's side is `container.vllm.worker`.
"""

from __future__ import annotations

import asyncio
from argparse import Namespace
from http import HTTPStatus
from typing import Any

import vllm
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from vllm.engine.protocol import EngineClient
from vllm.entrypoints.openai.models.serving import OpenAIServingModels
from vllm.platforms import current_platform
from vllm.v1.engine.async_llm import AsyncLLM

#: Where it keeps the engine's client among the attributes of vLLM's web application.
_STATE = "adapter_store_engine"
#: An unload waits this often, for so many seconds, for the end of requests that have been aborted.
_UNUSED_CHECKS = 20
_UNUSED_INTERVAL_SECONDS = 0.05

router = APIRouter()


class AdapterName(BaseModel):
    """The body of a request about one adapter."""

    lora_name: str
    """Its engine id."""


class AdapterStorePlugin:
    """The plugin as vLLM's `EndpointPlugin`."""

    name = "adapter_store_routes"
    required_tasks = ("generate",)

    def attach_router(self, app: FastAPI) -> None:
        """Add the routes; that of vLLM's own /v1/unload_lora_adapter is replaced."""
        app.include_router(router)

    async def init_state(self, engine_client: EngineClient | None, state: Any, args: Namespace) -> None:
        """Keep the engine's client for the routes."""
        setattr(state, _STATE, engine_client)


@router.get("/adapter_store/engine")
async def engine(request: Request) -> dict[str, str]:
    """Return vLLM's release, the data type that it computes in, and the device that it runs on."""
    return {
        "release": vllm.__version__,
        "dtype": str(_engine(request).model_config.dtype).removeprefix("torch."),
        "device": current_platform.get_device_name(),
    }


@router.get("/adapter_store/residency")
async def residency(request: Request) -> JSONResponse:
    """Return which adapters are resident, and counts: `ResidentAdapters.report`."""
    # The workers of a tensor-parallel engine load and evict the same adapters in the same steps.
    reports = await _engine(request).collective_rpc("adapter_residency")
    return JSONResponse(reports[0])


@router.post("/v1/unload_lora_adapter")
async def unload(body: AdapterName, request: Request) -> JSONResponse:
    """Unload an adapter from slot and host memory and forget its name: vLLM 0.32.0 does only the latter.

    Answers 409 and unloads nothing while a request uses it, which may be one whose client has just
    disconnected: for its next token vLLM would read the files again, and without them it ends.
    """
    models: OpenAIServingModels = request.app.state.openai_serving_models
    # As vLLM does it: a request for the adapter at the same time waits, then loads it again.
    async with models.lora_resolver_lock[body.lora_name]:
        found = models.lora_requests.get(body.lora_name)
        if found is None:
            return JSONResponse({}, HTTPStatus.NOT_FOUND)
        if not await _is_unused(_engine(request), body.lora_name):
            return JSONResponse({}, HTTPStatus.CONFLICT)
        await _engine(request).remove_lora(found.lora_int_id)
        del models.lora_requests[body.lora_name]
    return JSONResponse({})


@router.post("/adapter_store/pin")
async def pin(body: AdapterName, request: Request) -> JSONResponse:
    """Keep a loaded adapter in slot and host memory until it is unloaded."""
    models: OpenAIServingModels = request.app.state.openai_serving_models
    found = models.lora_requests.get(body.lora_name)
    if found is None:
        return JSONResponse({}, HTTPStatus.NOT_FOUND)
    pinned = await _engine(request).collective_rpc("pin_adapter", args=(found.lora_int_id,))
    return JSONResponse({}, HTTPStatus.OK if all(pinned) else HTTPStatus.CONFLICT)


async def _is_unused(engine_client: AsyncLLM, name: str) -> bool:
    """Return whether no request at the engine uses an adapter, or will in a moment."""
    # Not in the interface `EngineClient`. A request that is aborted leaves it when the engine gets the abort.
    requests = engine_client.output_processor.request_states
    for _ in range(_UNUSED_CHECKS):
        if not any(state.lora_name == name for state in list(requests.values())):
            return True
        await asyncio.sleep(_UNUSED_INTERVAL_SECONDS)
    return False


def _engine(request: Request) -> AsyncLLM:
    client: AsyncLLM = getattr(request.app.state, _STATE)
    return client
