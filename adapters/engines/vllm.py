"""Facts of vLLM 0.32.0.

Of adapter_config.json it reads the fields of `PEFTHelper` (`lora/peft_helper.py`), which refuses some when
the adapter is loaded, that is, at its first request. It ignores keys without a field. Tensors with unknown
names make loading fail (`lora/utils.py`, `parse_fine_tuned_lora_name`), and so do modules whose last name has
no slot anywhere in the model (`lora/lora_model.py`, `check_unexpected_modules`). Of the others it passes over
silently what has no slot at its place (`lora/model_manager.py`, `activate_adapter`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from adapters.engines.architectures import ArchitectureFacts, Rename, kinds
from adapters.engines.record import IGNORES, REFUSES, EngineRules
from adapters.engines.vllm_architectures import ROWS

#: The ranks that vLLM has kernels for (vllm.config.lora.MaxLoRARanks): a slot has the next higher one.
RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)


#: PEFT's prefix, which it writes twice for a model that was wrapped twice: vLLM takes all of them away
#: (`parse_fine_tuned_lora_name`).
_PREFIX = Rename("pattern", r"base_model\.model\.", "")


def _architectures() -> Iterator[tuple[str, ArchitectureFacts]]:
    for row in ROWS.strip().splitlines():
        names, renames, layers, embeddings = json.loads(row)
        facts = ArchitectureFacts(
            kinds(layers) if isinstance(layers, dict) else None,
            (_PREFIX, *(Rename(*rename) for rename in renames)),
            frozenset(embeddings),
            layers if isinstance(layers, str) else "",
        )
        yield from ((name, facts) for name in names.split())


RULES = EngineRules(
    name="vllm",
    title="vLLM",
    version="0.32.0",
    # 0.22.1 to 0.24: https://github.com/vllm-project/vllm/issues/47724
    refused_releases=r"v?0\.(22\.[1-9]|23|24)(\D.*)?",
    max_rank=RANKS[-1],
    kernel_ranks=None,
    # Values of --quantization (vllm.model_executor.layers.quantization.QuantizationMethods, without the
    # deprecated ones, which it refuses). AWQ and GPTQ: a 16-bit scale and a zero point for 128 weights each;
    # MX: an 8-bit scale for 32.
    quantizations={
        **{"awq": 4.2, "auto_awq": 4.2, "awq_marlin": 4.2},
        **{"gptq": 4.2, "auto_gptq": 4.2, "gptq_marlin": 4.2},
        **{"fp8": 8.0, "fp8_per_tensor": 8.0, "fp8_per_block": 8.0, "fp8_per_channel": 8.0},
        **{"mxfp8": 8.25, "mxfp4": 4.25},
        **dict.fromkeys(("modelopt", "modelopt_fp4", "modelopt_mxfp8", "modelopt_mixed"), None),
        **dict.fromkeys(
            ("humming", "compressed-tensors", "experts_int8", "quark", "moe_wna16", "torchao"), None
        ),
        **dict.fromkeys(("inc", "gpt_oss_mxfp4", "deepseek_v4_fp8", "online"), None),
        **dict.fromkeys(("int8_per_channel_weight_only", "nvfp4_per_token"), None),
    },
    architectures=dict(_architectures()),
    # By Transformers' backend, `_try_resolve_transformers` of model_executor/models/registry.py.
    serves_code=True,
    needs_all_layers=False,
    features={
        # PEFTHelper.get_rank_and_scaling.
        "use_rslora": None,
        "rank_pattern": None,
        "alpha_pattern": None,
        "layers_to_transform": None,
        # PEFTHelper._validate_features, as the next six.
        "use_dora": REFUSES,
        "lora_bias": REFUSES,
        # `classifier` and `score` pass, but only classification models have a slot for them
        # (model_manager.py, _validate_modules_to_save).
        "modules_to_save": REFUSES,
        "alora_invocation_tokens": REFUSES,
        "layer_replication": REFUSES,
        "use_bdlora": REFUSES,
        "use_qalora": REFUSES,
        # parse_fine_tuned_lora_name fails on trainable_tokens_delta, lora_diag, lora_monteclora_sampler.
        "trainable_token_indices": REFUSES,
        "kasa_config": REFUSES,
        "monteclora_config": REFUSES,
        # No fields of PEFTHelper. Arrow picks among adapters token by token; Megatron's layers are shards;
        # tying concerns embeddings that are changed together with the head.
        "arrow_config": IGNORES,
        "megatron_config": IGNORES,
        "ensure_weight_tying": IGNORES,
        # Only models with fused experts in one of two layouts (model_manager.py, _validate_moe_lora_format);
        # one tensor then holds all experts, which is not checked here.
        "target_parameters": "serves it for some mixtures of experts only",
        # It loads nothing but "none" (validate_legal).
        "bias": REFUSES,
    },
    # PEFTHelper has no field for the name.
    reads_named_base=False,
    unused_settings={"adapter_memory_fraction": "vLLM reserves max_active_adapters slots"},
)


def slot_rank(rank: int) -> int | None:
    """Return the rank of the slots for adapters of up to `rank`; None if it is above the highest."""
    return next((allowed for allowed in RANKS if rank <= allowed), None)
