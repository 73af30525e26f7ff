"""What a valid LoRA adapter is, decided from its config and its weights file's header alone."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapters.errors import InvalidAdapter

#: Longest safetensors header that is read, in bytes. A rank-64 adapter on every layer of a 70B model
#: has a header of about 0.3 MB; the format itself allows 100 MB.
MAX_HEADER_BYTES = 10 * 1024 * 1024
#: The header is preceded by its length, a little-endian 64-bit integer.
HEADER_LENGTH_BYTES = 8

#: PEFT settings that LoRAX 0.12.1 drops without a word (it pins peft 0.4.0), so that the adapter would
#: run with wrong weights.
LORAX_UNSUPPORTED = ("use_rslora", "use_dora", "rank_pattern", "alpha_pattern")

_LORA_TENSOR = re.compile(r"^(base_model\.model\..+)\.lora_([AB])\.weight$")


@dataclass(frozen=True)
class AdapterFacts:
    """What validation learnt about an adapter."""

    rank: int
    alpha: float
    base_model: str
    target_modules: tuple[str, ...]


def header_length(name: str, first_bytes: bytes, file_size: int) -> int:
    """The length in bytes of a safetensors header, from the file's first eight bytes.

    Raises `InvalidAdapter` if the length cannot be true.
    """
    length = int.from_bytes(first_bytes[:HEADER_LENGTH_BYTES], "little")
    if len(first_bytes) < HEADER_LENGTH_BYTES or not 2 <= length <= file_size - HEADER_LENGTH_BYTES:
        raise InvalidAdapter(name, "the weights file is not a safetensors file", "save it with safetensors")
    if length > MAX_HEADER_BYTES:
        raise InvalidAdapter(name, f"its safetensors header claims {length} bytes", "save the adapter again")
    return length


def tensor_shapes(name: str, header: bytes, file_size: int) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor in a safetensors header; `InvalidAdapter` if it does not fit the file."""
    broken = InvalidAdapter(name, "the safetensors header is damaged", "upload or save the adapter again")
    try:
        entries: dict[str, Any] = json.loads(header)
        entries.pop("__metadata__", None)
        shapes = {key: tuple(int(side) for side in entry["shape"]) for key, entry in entries.items()}
        end = max((int(entry["data_offsets"][1]) for entry in entries.values()), default=0)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise broken from error
    if end + HEADER_LENGTH_BYTES + len(header) != file_size:
        raise InvalidAdapter(
            name,
            f"the weights file has {file_size} bytes, its header tells of another length",
            "it was cut off or damaged on the way: upload it again",
        )
    return shapes


def check_adapter(
    name: str,
    config: Mapping[str, Any],
    shapes: Mapping[str, tuple[int, ...]],
    *,
    engine: str,
    max_rank: int,
    base_model: str,
) -> AdapterFacts:
    """Check an adapter's config and tensors against each other and against the stage that will serve it.

    Raises `InvalidAdapter` with the first thing found wrong.
    """
    if config.get("peft_type") != "LORA":
        raise InvalidAdapter(
            name, f"peft_type is {config.get('peft_type')!r}", "only LORA adapters can be served"
        )
    rank = config.get("r")
    if not isinstance(rank, int) or isinstance(rank, bool) or rank < 1:
        raise InvalidAdapter(name, f"its rank r is {rank!r}", "it must be a whole number above 0")
    if rank > max_rank:
        raise InvalidAdapter(
            name, f"its rank {rank} is above this stage's {max_rank}", "raise engine.max_adapter_rank"
        )
    alpha = config.get("lora_alpha")
    if not isinstance(alpha, int | float) or isinstance(alpha, bool):
        raise InvalidAdapter(name, f"lora_alpha is {alpha!r}", "it must be a number")
    trained_on = config.get("base_model_name_or_path")
    if trained_on != base_model:
        raise InvalidAdapter(
            name,
            f"it was trained on {trained_on!r}, this stage serves {base_model!r}",
            "publish it to a stage with that base model",
        )
    if engine == "lorax":
        for setting in LORAX_UNSUPPORTED:
            if config.get(setting):
                raise InvalidAdapter(
                    name, f"LoRAX would silently ignore its {setting}", "train without it or use engine: vllm"
                )
    modules = config.get("target_modules")
    _check_tensors(name, shapes, rank)
    return AdapterFacts(
        rank=rank,
        alpha=float(alpha),
        base_model=base_model,
        target_modules=tuple(sorted(modules)) if isinstance(modules, list) else (str(modules),),
    )


def _check_tensors(name: str, shapes: Mapping[str, tuple[int, ...]], rank: int) -> None:
    pairs: dict[str, set[str]] = {}
    for tensor, shape in shapes.items():
        match = _LORA_TENSOR.match(tensor)
        if match is None:
            raise InvalidAdapter(
                name, f"unexpected tensor {tensor!r}", "only lora_A and lora_B weights can be served"
            )
        layer, side = match.groups()
        pairs.setdefault(layer, set()).add(side)
        if len(shape) != 2 or (shape[0] if side == "A" else shape[1]) != rank:
            raise InvalidAdapter(
                name, f"tensor {tensor!r} has shape {list(shape)}", f"it does not fit rank {rank}"
            )
    halves = [layer for layer, sides in pairs.items() if sides != {"A", "B"}]
    if not pairs or halves:
        missing = halves[0] if halves else "every layer"
        raise InvalidAdapter(name, f"lora_A or lora_B is missing for {missing}", "save the adapter again")
