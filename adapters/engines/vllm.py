"""Facts of vLLM 0.32.0."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

#: The ranks that vLLM has kernels for (vllm.config.lora.MaxLoRARanks): a slot has the next one.
RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)

#: What vLLM takes as --quantization (vllm.model_executor.layers.quantization.QuantizationMethods, without the
#: deprecated ones, which it refuses), with the bits per weight of a linear layer; None where the size is not
#: known here. AWQ and GPTQ: a 16-bit scale and a zero point for 128 weights each; MX: an 8-bit scale for 32.
QUANTIZATIONS: Mapping[str, float | None] = MappingProxyType(
    {
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
    }
)
