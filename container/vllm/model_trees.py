"""The layers of vLLM's models that have a slot for adapters, found by building the models without weights.

vLLM's own functions decide what has a slot, called as in `LoRAModelManager._create_lora_modules`
(lora/model_manager.py). The models are built on torch's meta device, from the default config of their class,
with few blocks: which layers there are depends on switches of the config, not on its sizes.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import sys
import tempfile
import types
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from adapters.engines.architectures import ArchitectureFacts, Rename, kind_of

#: Packages that some models import for images and sound, which are not needed to build them.
_OPTIONAL = ("torchvision", "torchaudio", "timm")
#: Blocks of a model that is built: enough for one of each kind (the first with attention is Jamba's fifth).
_BLOCKS = 6
#: A number that fits for every size that a config leaves out, and values for what is no size, by the end of
#: the key; the first counts.
_SIZE = 8
_VALUES: dict[str, Any] = {
    **dict.fromkeys(("dropout", "_prob"), 0.0),
    **dict.fromkeys(("hidden_act", "activation", "activation_function"), "silu"),
    "eps": 1e-6,
    "theta": 1e4,
    "scale": 1.0,
    "scaling": None,
    "score_func": "sigmoid",
    "position_embedding_type": "absolute",
    "first_k_dense_replace": 1,
    "mlp_layer_types": ["sparse"] * _BLOCKS,
    "layer_types": ["full_attention"] * _BLOCKS,
}
#: The value of a switch that only says which configs are meant: those with that key.
_ANY = object()
#: Switches of configs with which a model has other layers than by default.
_SWITCHES: tuple[dict[str, Any], ...] = (
    {},
    {"q_lora_rank": None},
    {"mlp_only_layers": [0]},
    {"shared_intermediate_size": _SIZE},
    {"word_embed_proj_dim": _SIZE},
    {"layers_block_type": ["attention"] * _BLOCKS},
    {"mamba_n_heads": _ANY, "layer_types": ["linear_attention", "full_attention"] * (_BLOCKS // 2)},
    {"conv_L_cache": _ANY, "layer_types": ["conv", "full_attention"] * (_BLOCKS // 2)},
    {"interleave_moe_layer_step": 2, "moe_layers": [1, 3, 5]},
    {"enable_moe_block": True, "num_experts": _SIZE, "top_k_experts": 2, "moe_intermediate_size": _SIZE},
)


class _Absent(type):
    """The type of everything in a package that is not installed: it may be subclassed and called."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Nothing


class _Nothing(metaclass=_Absent):
    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __call__(self, *given: Any, **_: Any) -> Any:
        return given[0] if given else self


class _EmptyPackage(types.ModuleType):
    __path__: list[str] = []  # noqa: RUF012 (a module's, not a class's)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Nothing


class _OptionalPackages:
    """Finder of the packages of `_OPTIONAL`, each of which is then empty."""

    def find_spec(self, name: str, *_: Any) -> importlib.machinery.ModuleSpec | None:
        if name.partition(".")[0] not in _OPTIONAL:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)  # type: ignore[arg-type]

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return _EmptyPackage(spec.name)

    def exec_module(self, _module: types.ModuleType) -> None:
        pass


def prepare() -> None:
    """Make this process able to build vLLM's models; it is not to be used for anything else afterwards."""
    import torch  # noqa: F401, PLC0415 (transformers looks for the optional packages when it is imported)
    import transformers  # noqa: F401, PLC0415
    from vllm.config import DeviceConfig, VllmConfig, set_current_vllm_config  # noqa: PLC0415
    from vllm.distributed import (  # noqa: PLC0415
        ensure_model_parallel_initialized,
        init_distributed_environment,
    )
    from vllm.model_executor.models import registry  # noqa: PLC0415

    sys.meta_path.append(_OptionalPackages())
    # It asks a separate process, without the empty packages.
    registry._LazyRegisteredModel.inspect_model_cls = _inspected  # type: ignore[method-assign]
    with set_current_vllm_config(VllmConfig(device_config=DeviceConfig("cpu"))):
        rendezvous = Path(tempfile.mkdtemp()) / "rendezvous"
        init_distributed_environment(1, 0, f"file://{rendezvous}", 0, "gloo")
        ensure_model_parallel_initialized(1, 1)


def _inspected(model: Any) -> Any:
    from vllm.model_executor.models import registry  # noqa: PLC0415

    return registry._ModelInfo.from_model_cls(model.load_model_cls())


def tree(architecture: str, config: Any) -> ArchitectureFacts:
    """Return the facts of models with this config.

    Raises whatever vLLM raises if it cannot build the model on this machine.
    """
    kinds: set[str] = set()
    embeddings: set[str] = set()
    renames: tuple[Rename, ...] = ()
    for switch in _SWITCHES:
        changed = [part for part in _parts(config) if switch.keys() <= vars(part).keys()]
        if switch and not changed:
            continue
        before = [{key: getattr(part, key) for key in switch} for part in changed]
        try:
            for part in changed:
                _set(part, switch)
            model, vllm_config = _built(architecture, config)
            slots = dict(_slots(model, vllm_config))
        except Exception:
            if not switch:
                raise
            continue
        finally:
            for part, values in zip(changed, before, strict=True):
                _set(part, values)
        kinds |= slots.keys()
        embeddings |= {kind for kind, embeds in slots.items() if embeds}
        renames = renames or tuple(renames_of(model))
    return ArchitectureFacts(frozenset(kinds), renames, frozenset(embeddings))


def _set(part: Any, values: dict[str, Any]) -> None:
    for key, value in values.items():
        if value is not _ANY:
            setattr(part, key, value)


def _parts(config: Any) -> Iterator[Any]:
    from transformers import PretrainedConfig  # noqa: PLC0415

    yield config
    for value in list(vars(config).values()):
        if isinstance(value, PretrainedConfig):
            yield from _parts(value)


def complete(config: Any) -> None:
    """Set the parts of a config that are left out, and leave `_BLOCKS` blocks of each."""
    for part, part_class in dict(getattr(config, "sub_configs", {})).items():
        if getattr(config, part, None) is None and part_class.__name__ != "AutoConfig":
            setattr(config, part, part_class())
    for part in _parts(config):
        blocks = getattr(part, "num_hidden_layers", None)
        if getattr(part, "num_key_value_heads", 0) is None:
            part.num_key_value_heads = part.num_attention_heads
        # Where single blocks have settings of their own, there must be as many as these say.
        if isinstance(blocks, int) and blocks > _BLOCKS and not getattr(part, "_heterogeneity_spec", None):
            for key, value in list(vars(part).items()):
                if isinstance(value, list) and len(value) == blocks:
                    setattr(part, key, value[:_BLOCKS])
            part.num_hidden_layers = _BLOCKS


def _built(architecture: str, config: Any) -> tuple[Any, Any]:
    """Build a model, after adding the keys that its class asks for and the config does not have."""
    for _ in range(40):
        try:
            return _build(architecture, config)
        except AttributeError as error:
            lacking = [part for part in _parts(config) if part is error.obj or type(part) is type(error.obj)]
            if not lacking or not error.name or error.name.startswith("_"):
                raise
            value = next((_VALUES[end] for end in _VALUES if error.name.endswith(end)), _SIZE)
            for part in lacking:
                setattr(part, error.name, value)
    raise AttributeError("the config lacks too many keys")


def _build(architecture: str, config: Any) -> tuple[Any, Any]:
    import torch  # noqa: PLC0415
    from vllm.config import (  # noqa: PLC0415
        DeviceConfig,
        LoadConfig,
        LoRAConfig,
        ModelConfig,
        VllmConfig,
        set_current_vllm_config,
    )
    from vllm.model_executor.model_loader.utils import get_model_architecture  # noqa: PLC0415

    config.architectures = [architecture]
    with tempfile.TemporaryDirectory() as directory:
        config.save_pretrained(directory)
        model_config = ModelConfig(
            model=directory,
            skip_tokenizer_init=True,
            dtype="bfloat16",
            max_model_len=64,
            enforce_eager=True,
            config_format="hf",
        )
        vllm_config = VllmConfig(
            model_config=model_config,
            device_config=DeviceConfig("cpu"),
            load_config=LoadConfig(load_format="dummy"),
            lora_config=LoRAConfig(max_lora_rank=8, max_loras=1, max_cpu_loras=1),
        )
        model_class, _ = get_model_architecture(model_config)
        dtype = torch.get_default_dtype()
        torch.set_default_dtype(torch.bfloat16)
        try:
            with set_current_vllm_config(vllm_config), torch.device("meta"):
                return model_class(vllm_config=vllm_config, prefix=""), vllm_config
        finally:
            torch.set_default_dtype(dtype)


def _slots(model: Any, vllm_config: Any) -> Iterator[tuple[str, bool]]:
    """Yield the kinds of layers that `LoRAModelManager` would wrap and look up in an adapter.

    The second value is true for embeddings.
    """
    from vllm.lora.utils import (  # noqa: PLC0415
        _all_lora_classes,
        get_supported_lora_modules,
        is_moe_model,
        is_supported_lora_module,
        process_packed_modules_mapping,
    )
    from vllm.model_executor.layers.fused_moe import MoERunner  # noqa: PLC0415
    from vllm.model_executor.layers.vocab_parallel_embedding import VocabParallelEmbedding  # noqa: PLC0415
    from vllm.model_executor.models import supports_multimodal  # noqa: PLC0415

    supported = get_supported_lora_modules(model)
    packed = process_packed_modules_mapping(model)
    # Without `enable_tower_connector_lora` only the language model of a model for images has slots.
    of_images = supports_multimodal(model) and hasattr(model, "get_mm_mapping")
    prefixes = tuple(model.get_mm_mapping().language_model) if of_images else ("",)
    without_gate = is_moe_model(model) and model.is_non_gated_moe
    without_effect = _called_elsewhere(model, supported)
    wrapped: set[int] = set()
    for name, module in model.named_modules(remove_duplicate=False):
        if (
            id(module) in without_effect
            or not is_supported_lora_module(name, module, supported)
            or not name.startswith(prefixes)
        ):
            continue
        if without_gate and name.endswith("mixer.gate"):
            continue
        # Another path to the same module has no separate slot.
        if id(module) in wrapped and "lm_head" not in name:
            continue
        parent, _, last = name.rpartition(".")
        parts: Sequence[str] = packed.get(last, [])
        if isinstance(module, MoERunner):
            # One tensor for all experts: only `target_parameters` makes it, which is refused.
            parts = [] if model.is_3d_moe_weight else parts
        else:
            if "lm_head" not in name and not any(
                lora_class.can_replace_layer(
                    source_layer=module,
                    lora_config=vllm_config.lora_config,
                    packed_modules_list=list(parts),
                    model_config=model.config,
                )
                for lora_class in _all_lora_classes
            ):
                continue
            parts = parts if len(parts) > 1 else [last]
        wrapped.add(id(module))
        for part in parts:
            # As VocabParallelEmbeddingWithLoRA.can_replace_layer: heads are of a class derived from this one.
            yield kind_of(f"{parent}.{part}" if parent else part), type(module) is VocabParallelEmbedding


def _called_elsewhere(model: Any, supported: Sequence[str]) -> set[int]:
    """Return the ids of layers whose adapters have no effect: the model calls them under a second name.

    vLLM puts a layer with a slot in the place of the first name. It changes a second one only if that ends
    like the name of a layer with a slot; and in a mixture of experts it changes what it has put around the
    mixture, which goes on to call its own. So are Qwen3-MoE's router and Qwen2-MoE's gate of the shared
    expert, seen by running them (`lora/model_manager.py`, _create_lora_modules).
    """
    from vllm.model_executor.layers.fused_moe import MoERunner  # noqa: PLC0415
    from vllm.model_executor.layers.linear import LinearBase  # noqa: PLC0415

    modules = dict(model.named_modules(remove_duplicate=False))
    places: dict[int, set[tuple[int, str]]] = {}
    found: set[int] = set()
    for name, module in modules.items():
        parent, _, last = name.rpartition(".")
        place = (id(modules[parent]), last) if name else None
        if place is None or not isinstance(module, LinearBase):
            continue
        known = places.setdefault(id(module), set())
        in_mixture = any(isinstance(modules[path], MoERunner) for path in _ancestors(parent))
        if known and place not in known and (last not in supported or in_mixture):
            found.add(id(module))
        known.add(place)
    return found


def _ancestors(path: str) -> Iterator[str]:
    """Yield a path and those above it, to the model itself: ""."""
    while path:
        yield path
        path = path.rpartition(".")[0]
    yield path


def renames_of(model: Any) -> Iterator[Rename]:
    """Yield the renames of a model or of its class that apply to adapters (lora/worker_manager.py)."""
    mapper = getattr(model, "hf_to_vllm_mapper", None)
    if mapper is None or not hasattr(mapper, "get_rename_mapper"):
        return
    mapper = mapper.get_rename_mapper()
    for renaming in mapper.orig_to_new_renaming:
        if renaming.scope_prefix is not None or len(renaming.source_patterns) != 1:
            raise ValueError(f"{renaming} has a form that is not known here")
        # Its `\1` counts from inside of the group that it puts around the pattern.
        yield Rename("once", renaming.source_patterns[0], renaming.target_patterns[0])
    for pattern, new in mapper.orig_to_new_regex.items():
        yield Rename("pattern", _SAME_IN_LINEAR_TIME.get(pattern.pattern, pattern.pattern), new)
    for part, new in mapper.orig_to_new_substr.items():
        yield Rename("part", part, new)
    for prefix, new in mapper.orig_to_new_prefix.items():
        yield Rename("prefix", prefix, new)
    for suffix, new in mapper.orig_to_new_suffix.items():
        # Others cannot be the end of the name of a layer's weight.
        if suffix.endswith(".weight"):
            yield Rename("suffix", suffix, new)


#: Patterns of vLLM that take exponential time in the number of dots, with one that does the same without.
_SAME_IN_LINEAR_TIME = {r"^model\.(.+\.)*(lm_head.+)": r"^model\.(.*\.)?(lm_head.+)"}
