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
from container.lorax.flags import passed_on
from container.lorax.inherited import UNUSED_SECRETS
from container.lorax.settings_check import check_settings

#: 0.12.1 logs prompts in these two modules of its router.
LOG_LEVEL = "info,lorax_router::server=off,lorax_router::infer=off"
#: The directory with the change to LoRAX's shard: LoRAX's Python imports `sitecustomize` from it.
SHARD = Path(__file__).parent / "shard"


def lorax_launch(settings: Settings) -> EngineLaunch:
    """Return the launch of LoRAX; raise `SettingsError` for settings that LoRAX does not support."""
    return EngineLaunch(
        command=lorax_command(settings, os.environ),
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


def lorax_command(settings: Settings, inherited: Mapping[str, str]) -> tuple[str, ...]:
    """Return the launcher's command line. The environment has all other options, as in the launcher's manual.

    Address and port are flags because the image sets PORT and Docker sets HOSTNAME. The stage's own flags
    follow, which come before the variables that the image may have for them.
    """
    own = ("--hostname", "127.0.0.1", "--port", str(settings.engine_port), "--json-output")
    return ("lorax-launcher", *own, *passed_on(settings, inherited))


def lorax_environment(settings: Settings, inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the engine's environment: the container's, with LoRAX's options.

    Raises `SettingsError` for a variable, the container's or LoRAX's, with which LoRAX could not serve. CUDA
    graphs (COMPILE) stay off, the default of 0.12.1: they take 3 to 10 GB of GPU memory.
    """
    check_settings(settings, inherited)
    model = settings.mounted_model
    cache = str(settings.adapter_cache_dir)
    environment = {name: value for name, value in inherited.items() if name not in UNUSED_SECRETS} | {
        "MODEL_ID": str(model or settings.model_id),
        # Also for a mounted base model: LoRAX finds it by its path.
        "SOURCE": "hub",
        "NUM_SHARD": str(settings.gpus),
        "TRUST_REMOTE_CODE": settings.trust_remote_code,
        "ADAPTER_SOURCE": "s3",
        # It would override ADAPTER_SOURCE.
        "DEFAULT_ADAPTER_SOURCE": "s3",
        "PREDIBASE_MODEL_BUCKET": settings.adapter_bucket,
        "MAX_ACTIVE_ADAPTERS": str(settings.max_active_adapters),
        "ADAPTER_MEMORY_FRACTION": str(settings.adapter_memory_fraction),
        "MAX_INPUT_LENGTH": str(settings.max_input_tokens),
        "MAX_TOTAL_TOKENS": str(settings.max_total_tokens),
        "MAX_BEST_OF": str(MAX_BEST_OF),
        "MAX_STOP_SEQUENCES": str(MAX_STOP_SEQUENCES),
        "MAX_CONCURRENT_REQUESTS": str(_permits(settings)),
        # For base model and adapters; LoRAX reads the first name, the Hub's library prefers the second.
        "HUGGINGFACE_HUB_CACHE": cache,
        "HF_HUB_CACHE": cache,
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "LOG_LEVEL": LOG_LEVEL,
        # First: without the change LoRAX may answer from the base model, undetectably.
        "PYTHONPATH": os.pathsep.join(filter(None, (str(SHARD), inherited.get("PYTHONPATH")))),
    }
    if settings.region is not None:
        # LoRAX's boto3 does not read AWS_REGION.
        environment["AWS_DEFAULT_REGION"] = settings.region
    if model is not None:
        # Without it LoRAX requests the base model's data from the Hub at each load, while all requests wait.
        environment["HF_HUB_OFFLINE"] = "1"
    elif settings.model_revision is not None:
        environment["REVISION"] = settings.model_revision
    if settings.quantize is not None:
        environment["QUANTIZE"] = settings.quantize
    if settings.dtype is not None:
        environment["DTYPE"] = settings.dtype
    if "HF_TOKEN" in inherited:
        # The launcher reads one name, the router the other.
        environment["HUGGING_FACE_HUB_TOKEN"] = inherited["HF_TOKEN"]
    return environment


def _permits(settings: Settings) -> int:
    """Return LoRAX's limit of concurrent generations; beyond it LoRAX answers 429 at once.

    A request counts `best_of` times. In addition to the clients' requests the gateway sends one for each
    adapter that it loads, one as a health check and one as a probe.
    """
    return settings.max_concurrent_requests * MAX_BEST_OF + settings.max_cold_loads + 2
