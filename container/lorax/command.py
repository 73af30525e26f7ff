"""The container's settings as LoRAX's environment (names and rules of lorax-launcher 0.12.1)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from container.gateway.adapters.download import AdapterDownload, download_client
from container.gateway.engine.backend import EngineLaunch
from container.gateway.schemas.lorax import MAX_BEST_OF, MAX_STOP_SEQUENCES
from container.gateway.settings import Settings
from container.lorax.backend import LoraxBackend, adapter_directory
from container.lorax.inherited import UNUSED_SECRETS
from container.lorax.settings_check import check_settings

#: 0.12.1 writes the prompt into each log line of these two parts of its router.
LOG_LEVEL = "info,lorax_router::server=off,lorax_router::infer=off"
#: Our change to LoRAX's shard: its Python finds `sitecustomize` there.
SHARD = Path(__file__).parent / "shard"


def lorax_launch(settings: Settings) -> EngineLaunch:
    """LoRAX with these settings; raises `SettingsError` for what LoRAX cannot do."""
    return EngineLaunch(
        command=lorax_command(settings),
        environment=lorax_environment(settings, os.environ),
        connect=partial(
            LoraxBackend,
            base_model=settings.model_id,
            default_new_tokens=settings.default_new_tokens,
            cache=settings.adapter_cache_dir,
            download=AdapterDownload(
                download_client(settings.region),
                settings.adapter_bucket,
                settings.adapter_cache_dir,
                adapter_directory,
            ),
        ),
    )


def lorax_command(settings: Settings) -> tuple[str, ...]:
    """The launcher's command line. All else goes by environment, as in the launcher's own documentation.

    Address and port are flags because the image sets PORT and Docker sets HOSTNAME.
    """
    return ("lorax-launcher", "--hostname", "127.0.0.1", "--port", str(settings.engine_port), "--json-output")


def lorax_environment(settings: Settings, inherited: Mapping[str, str]) -> dict[str, str]:
    """The engine's environment: the container's own, and LoRAX's options on top.

    Raises `SettingsError` for a variable, ours or LoRAX's own, with which LoRAX could not serve. CUDA graphs
    (COMPILE) stay off, as 0.12.1 has it by default: they take 3 to 10 GB of GPU memory.
    """
    check_settings(settings, inherited)
    model = settings.mounted_model
    cache = str(settings.adapter_cache_dir)
    environment = {name: value for name, value in inherited.items() if name not in UNUSED_SECRETS} | {
        "MODEL_ID": str(model or settings.model_id),
        # A base model that is mounted too: it is found by its path.
        "SOURCE": "hub",
        "NUM_SHARD": str(settings.gpus),
        "TRUST_REMOTE_CODE": settings.trust_remote_code,
        "ADAPTER_SOURCE": "s3",
        # It would go before ADAPTER_SOURCE.
        "DEFAULT_ADAPTER_SOURCE": "s3",
        "PREDIBASE_MODEL_BUCKET": settings.adapter_bucket,
        "MAX_ACTIVE_ADAPTERS": str(settings.max_active_adapters),
        "ADAPTER_MEMORY_FRACTION": str(settings.adapter_memory_fraction),
        "MAX_INPUT_LENGTH": str(settings.max_input_tokens),
        "MAX_TOTAL_TOKENS": str(settings.max_total_tokens),
        "MAX_BEST_OF": str(MAX_BEST_OF),
        "MAX_STOP_SEQUENCES": str(MAX_STOP_SEQUENCES),
        "MAX_CONCURRENT_REQUESTS": str(_permits(settings)),
        # Base model and adapters; parts of LoRAX read the one name, the Hub's library prefers the other.
        "HUGGINGFACE_HUB_CACHE": cache,
        "HF_HUB_CACHE": cache,
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "LOG_LEVEL": LOG_LEVEL,
        # In front: without the change LoRAX may answer from the base model, and nobody could tell.
        "PYTHONPATH": os.pathsep.join(filter(None, (str(SHARD), inherited.get("PYTHONPATH")))),
    }
    if settings.region is not None:
        # LoRAX's boto3 does not read AWS_REGION.
        environment["AWS_DEFAULT_REGION"] = settings.region
    if model is not None:
        # Else LoRAX asks the Hub about the base model each time it loads an adapter, while all wait.
        environment["HF_HUB_OFFLINE"] = "1"
    elif settings.model_revision is not None:
        environment["REVISION"] = settings.model_revision
    if settings.quantize is not None:
        environment["QUANTIZE"] = settings.quantize
    if settings.dtype is not None:
        environment["DTYPE"] = settings.dtype
    if "HF_TOKEN" in inherited:
        # The launcher reads the one name, the router the other.
        environment["HUGGING_FACE_HUB_TOKEN"] = inherited["HF_TOKEN"]
    return environment


def _permits(settings: Settings) -> int:
    """How many LoRAX may do at once; it answers 429 to one more, without waiting.

    A request counts once for each of its `best_of`. Beside the callers' requests the gateway has one for each
    adapter that is being loaded, and one to see whether LoRAX lives.
    """
    return settings.max_concurrent_requests * MAX_BEST_OF + settings.max_cold_loads + 1
