"""The flags of vLLM that a stage may pass on with `engine.arguments`: those that tune it.

A flag is refused if the container sets it, by a rule of `_RULES`, or because its group of options is none of
`_GROUPS`. A flag that a later vLLM adds in another group is therefore refused until a rule is written for it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import cast

from container.gateway.engine_arguments import Flag, FlagTable, Form
from container.vllm.flag_table import ROWS, VERSION
from container.vllm.options import OPTIONS

_ADAPTERS = "leave it out: the container serves the adapters of the store, and no others"
_CODE = "leave it out: vLLM would import code by this name"
_ENGINE_ADDRESS = "leave it out: one process serves on this instance, and only the gateway reaches it"
_GATEWAY = "leave it out: the gateway answers callers, and relies on vLLM's own answers as they are"
_LOGS = "leave it out: prompts and answers would be logged or sent elsewhere"
_MODEL = "leave it out: the base model comes from base_model alone"
_TEXT_ONLY = "leave it out: the gateway takes text only"

#: Patterns of names with the remedy, or "" for a flag that may be passed on; the first that matches decides.
_RULES: tuple[tuple[str, str], ...] = (
    (r".*(plugin|-cls|processors|class-overrides)", _CODE),
    (r".*lora.*", _ADAPTERS),
    (r"config", "leave it out: vLLM would take further flags from that file, unchecked"),
    (r"headless|grpc|api-server-count", _ENGINE_ADDRESS),
    (r".*log(s|ging)?(-.*)?|otlp-.*|collect-.*|.*trace.*|profiler-config", _LOGS),
    (r".*(-addr|-address|-port|-rank)|nnodes|data-parallel-.*|distributed-executor-backend", _ENGINE_ADDRESS),
    (r"allow.*|api-key|ssl-.*|middleware|.*-token|.*sleep.*", _GATEWAY),
    (r".*logprobs.*|.*return-.*|enable-prompt-embeds", _GATEWAY),
    # A hash without cryptographic strength lets one caller's prompt be taken for another's.
    (r"prefix-caching-hash-algo", "leave it out: prompts that collide would share their cache"),
    (r"max-num-queued-.*", "leave it out: the gateway queues requests; set max_queued_requests of gateway"),
    (r"stream-interval", "leave it out: a stream has an event for each token"),
    (r"kv-offloading-backend", _CODE),
    # How a chat becomes a prompt; it also helps base models that have no template.
    (r"chat-template(-content-format)?|default-chat-template-kwargs", ""),
    # How far the grammar of a tool call follows the tool's schema.
    (r"tool-strict-level", ""),
    (r"enforce-eager|seed|disable-(sliding-window|cascade-attn)|use-fp64-gumbel|renderer-num-workers", ""),
    (r"safetensors-.*|use-tqdm-on-load", ""),
    (r"disable-custom-all-reduce|max-parallel-loading-workers|(cpu-)?distributed-timeout-seconds", ""),
    (r"numa-bind.*|enable-expert-parallel|expert-placement-strategy|all2all-backend", ""),
    (r"language-model-only|limit-mm-per-prompt|skip-mm-profiling|mm-processor-cache-gb", ""),
    (r"(gdn|kda)-.*-backend", ""),
    # The n-gram proposer needs no second model.
    (r"spec-(method|tokens)", ""),
    (r"(compilation|attention|kernel)-config|optimization-level|performance-mode", ""),
)
#: Groups of vLLM's options whose flags may be passed on, if no rule refuses them.
_GROUPS = frozenset(
    {
        "SchedulerConfig",
        "CacheConfig",
        "OffloadConfig",
        "CompilationConfig",
        "KernelConfig",
        "AttentionConfig",
        "MambaConfig",
    }
)
#: The remedies of the other groups.
_OTHER_GROUPS: Mapping[str, str] = MappingProxyType(
    {
        "Frontend": _GATEWAY,
        "ModelConfig": _MODEL,
        "LoadConfig": _MODEL,
        "ParallelConfig": "leave it out: SM_NUM_GPUS says over how many GPUs the model is spread",
        "MultiModalConfig": _TEXT_ONLY,
    }
)
_OTHERWISE = "leave it out: it is no setting that tunes vLLM"
#: Values that may be set, of flags for which vLLM takes more.
_CHOICES: Mapping[str, tuple[str, ...]] = MappingProxyType({"spec-method": ("ngram",)})
#: Fields of objects that may be set, where others are paths or names of code.
_FIELDS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "compilation-config": frozenset(
            {
                "mode",
                "cudagraph_mode",
                "cudagraph_capture_sizes",
                "max_cudagraph_capture_size",
                "custom_ops",
                "splitting_ops",
                "use_inductor_graph_partition",
            }
        )
    }
)


def _table() -> FlagTable:
    flags: dict[str, Flag] = {}
    aliases: dict[str, str] = {}
    for row in ROWS.splitlines():
        name, form, group, choices, short = (cell.strip() for cell in f"{row} ".split(" |"))
        flags[name] = Flag(
            name=name,
            form=cast("Form", form),
            choices=_CHOICES.get(name, tuple(filter(None, choices.split(",")))),
            fields=_FIELDS.get(name),
            refusal=_refusal(name, group),
        )
        aliases |= dict.fromkeys(filter(None, short.split(",")), name)
    return FlagTable(engine=f"vLLM {VERSION}", flags=flags, aliases=aliases)


def _refusal(name: str, group: str) -> str | None:
    option = OPTIONS.get(name)
    if option is not None:
        return f"set {option.variable} instead" if option.variable else "leave it out: the container sets it"
    for pattern, remedy in _RULES:
        if re.fullmatch(pattern, name):
            return remedy or None
    return None if group in _GROUPS else _OTHER_GROUPS.get(group, _OTHERWISE)


FLAGS = _table()
