"""The shapes of well-known base models, by name on the Hub.

Sources: each model's config.json; the parameters are those that the Hub counts in its safetensors files.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from stacks.sizing.model_shape import ModelShape


def known_shape(name: str) -> ModelShape | None:
    """The shape of a model by its name on the Hub, of any revision; None for an unknown one."""
    return KNOWN_MODELS.get(name)


def _shape(
    architecture: str,
    parameters: int,
    layers: int,
    hidden_size: int,
    intermediate_size: int,
    attention_heads: int,
    kv_heads: int,
    head_dim: int,
    vocab_size: int,
    *,
    tied: bool = False,
    experts: int = 1,
    dtype: str = "bfloat16",
) -> ModelShape:
    return ModelShape(
        architecture=f"{architecture}ForCausalLM",
        parameters=parameters,
        layers=layers,
        hidden_size=hidden_size,
        intermediate_size=intermediate_size,
        attention_heads=attention_heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        vocab_size=vocab_size,
        dtype=dtype,
        tied_embeddings=tied,
        experts=experts,
    )


# Architecture, parameters, layers, hidden size, intermediate size, heads, KV heads, head size, vocabulary.
_NAMES: Mapping[ModelShape, tuple[str, ...]] = {
    _shape("Mistral", 7_241_732_096, 32, 4096, 14336, 32, 8, 128, 32000): (
        "mistralai/Mistral-7B-v0.1",
        "mistralai/Mistral-7B-Instruct-v0.1",
        "mistralai/Mistral-7B-Instruct-v0.2",
    ),
    _shape("Mistral", 7_248_023_552, 32, 4096, 14336, 32, 8, 128, 32768): (
        "mistralai/Mistral-7B-v0.3",
        "mistralai/Mistral-7B-Instruct-v0.3",
    ),
    _shape("Mixtral", 46_702_792_704, 32, 4096, 14336, 32, 8, 128, 32000, experts=8): (
        "mistralai/Mixtral-8x7B-v0.1",
        "mistralai/Mixtral-8x7B-Instruct-v0.1",
    ),
    _shape("Llama", 6_738_415_616, 32, 4096, 11008, 32, 32, 128, 32000, dtype="float16"): (
        "meta-llama/Llama-2-7b-hf",
        "meta-llama/Llama-2-7b-chat-hf",
    ),
    _shape("Llama", 13_015_864_320, 40, 5120, 13824, 40, 40, 128, 32000, dtype="float16"): (
        "meta-llama/Llama-2-13b-hf",
        "meta-llama/Llama-2-13b-chat-hf",
    ),
    _shape("Llama", 68_976_648_192, 80, 8192, 28672, 64, 8, 128, 32000, dtype="float16"): (
        "meta-llama/Llama-2-70b-hf",
        "meta-llama/Llama-2-70b-chat-hf",
    ),
    _shape("Llama", 8_030_261_248, 32, 4096, 14336, 32, 8, 128, 128256): (
        "meta-llama/Meta-Llama-3-8B",
        "meta-llama/Meta-Llama-3-8B-Instruct",
        "meta-llama/Llama-3.1-8B",
        "meta-llama/Llama-3.1-8B-Instruct",
        "meta-llama/Meta-Llama-3.1-8B",
        "meta-llama/Meta-Llama-3.1-8B-Instruct",
    ),
    _shape("Llama", 70_553_706_496, 80, 8192, 28672, 64, 8, 128, 128256): (
        "meta-llama/Meta-Llama-3-70B",
        "meta-llama/Meta-Llama-3-70B-Instruct",
        "meta-llama/Llama-3.1-70B",
        "meta-llama/Llama-3.1-70B-Instruct",
        "meta-llama/Meta-Llama-3.1-70B",
        "meta-llama/Meta-Llama-3.1-70B-Instruct",
        "meta-llama/Llama-3.3-70B-Instruct",
    ),
    _shape("Llama", 1_235_814_400, 16, 2048, 8192, 32, 8, 64, 128256, tied=True): (
        "meta-llama/Llama-3.2-1B",
        "meta-llama/Llama-3.2-1B-Instruct",
    ),
    _shape("Llama", 3_212_749_824, 28, 3072, 8192, 24, 8, 128, 128256, tied=True): (
        "meta-llama/Llama-3.2-3B",
        "meta-llama/Llama-3.2-3B-Instruct",
    ),
    _shape("Qwen2", 494_032_768, 24, 896, 4864, 14, 2, 64, 151936, tied=True): (
        "Qwen/Qwen2-0.5B",
        "Qwen/Qwen2-0.5B-Instruct",
        "Qwen/Qwen2.5-0.5B",
        "Qwen/Qwen2.5-0.5B-Instruct",
    ),
    _shape("Qwen2", 1_543_714_304, 28, 1536, 8960, 12, 2, 128, 151936, tied=True): (
        "Qwen/Qwen2-1.5B",
        "Qwen/Qwen2-1.5B-Instruct",
        "Qwen/Qwen2.5-1.5B",
        "Qwen/Qwen2.5-1.5B-Instruct",
    ),
    _shape("Qwen2", 3_085_938_688, 36, 2048, 11008, 16, 2, 128, 151936, tied=True): (
        "Qwen/Qwen2.5-3B",
        "Qwen/Qwen2.5-3B-Instruct",
    ),
    _shape("Qwen2", 7_615_616_512, 28, 3584, 18944, 28, 4, 128, 152064): (
        "Qwen/Qwen2-7B",
        "Qwen/Qwen2-7B-Instruct",
        "Qwen/Qwen2.5-7B",
        "Qwen/Qwen2.5-7B-Instruct",
    ),
    _shape("Qwen2", 14_770_033_664, 48, 5120, 13824, 40, 8, 128, 152064): (
        "Qwen/Qwen2.5-14B",
        "Qwen/Qwen2.5-14B-Instruct",
    ),
    _shape("Qwen2", 32_763_876_352, 64, 5120, 27648, 40, 8, 128, 152064): (
        "Qwen/Qwen2.5-32B",
        "Qwen/Qwen2.5-32B-Instruct",
    ),
    _shape("Qwen2", 72_706_203_648, 80, 8192, 29568, 64, 8, 128, 152064): (
        "Qwen/Qwen2-72B",
        "Qwen/Qwen2-72B-Instruct",
        "Qwen/Qwen2.5-72B",
        "Qwen/Qwen2.5-72B-Instruct",
    ),
    _shape("Qwen3", 596_049_920, 28, 1024, 3072, 16, 8, 128, 151936, tied=True): ("Qwen/Qwen3-0.6B",),
    _shape("Qwen3", 1_720_574_976, 28, 2048, 6144, 16, 8, 128, 151936, tied=True): ("Qwen/Qwen3-1.7B",),
    _shape("Qwen3", 4_022_468_096, 36, 2560, 9728, 32, 8, 128, 151936, tied=True): ("Qwen/Qwen3-4B",),
    _shape("Qwen3", 8_190_735_360, 36, 4096, 12288, 32, 8, 128, 151936): ("Qwen/Qwen3-8B",),
    _shape("Qwen3", 14_768_307_200, 40, 5120, 17408, 40, 8, 128, 151936): ("Qwen/Qwen3-14B",),
    _shape("Qwen3", 32_762_123_264, 64, 5120, 25600, 64, 8, 128, 151936): ("Qwen/Qwen3-32B",),
    _shape("Gemma2", 2_614_341_888, 26, 2304, 9216, 8, 4, 256, 256000, tied=True): (
        "google/gemma-2-2b",
        "google/gemma-2-2b-it",
    ),
    _shape("Gemma2", 9_241_705_984, 42, 3584, 14336, 16, 8, 256, 256000, tied=True): (
        "google/gemma-2-9b",
        "google/gemma-2-9b-it",
    ),
    _shape("Gemma2", 27_227_128_320, 46, 4608, 36864, 32, 16, 128, 256000, tied=True): (
        "google/gemma-2-27b",
        "google/gemma-2-27b-it",
    ),
    _shape("Phi3", 3_821_079_552, 32, 3072, 8192, 32, 32, 96, 32064): ("microsoft/Phi-3-mini-4k-instruct",),
}
KNOWN_MODELS: Mapping[str, ModelShape] = MappingProxyType(
    {name: shape for shape, names in _NAMES.items() for name in names}
)
