"""Facts of a base model that an adapter must be compatible with, read from headers only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from adapters import git_lfs
from adapters.engines.architectures import ArchitectureFacts
from adapters.errors import AdapterError, InvalidAdapter
from adapters.files import ReadableFile
from adapters.strict_json import NotAnObject, parse_object
from adapters.validation.safetensors import Tensor, read_header

#: Names under which the weights of a layer are stored. Quantized: GPTQ and AWQ; compressed-tensors.
_WEIGHTS = (".weight", ".qweight", ".weight_packed")
#: Dtypes with one number per weight, so that the tensor's shape is the layer's. Others are packed.
_UNPACKED = frozenset({"F64", "F32", "F16", "BF16", "F8_E5M2", "F8_E4M3", "F8_E5M2FNUZ", "F8_E4M3FNUZ"})
#: The embeddings of nearly every model; those of the others are never tied to a head with a slot.
_EMBEDDINGS = "embed_tokens"


class InvalidBaseModel(AdapterError):
    """A base model whose files cannot be fetched, or make no sense."""

    def __init__(self, model: str, problem: str, remedy: str) -> None:
        """`model` is the base model's name or path."""
        super().__init__(model, problem, remedy)
        self.args = (f"base model {model!r}: {problem}; {remedy}",)


@dataclass(frozen=True)
class BaseModelFacts:
    """The facts of one base model."""

    architecture: str | None
    """The first of `architectures` in its config.json, e.g. `MistralForCausalLM`."""
    layers: Mapping[str, tuple[int, int] | None]
    """(out_features, in_features) by module path, e.g. `model.layers.0.self_attn.q_proj`; None if the shape
    is unknown because the weights are packed. Empty if the layers are unknown."""

    has_code: bool = False
    """True if its config.json names code of a model (`auto_map`), which comes with it."""

    _renamed: dict[ArchitectureFacts, Mapping[str, tuple[int, int] | None]] = field(
        default_factory=dict, compare=False, repr=False
    )

    def named_by(self, facts: ArchitectureFacts) -> Mapping[str, tuple[int, int] | None]:
        """Return `layers` by an engine's names, which are made once for each engine."""
        if facts not in self._renamed:
            self._renamed[facts] = {facts.of_checkpoint(path): sizes for path, sizes in self.layers.items()}
        return self._renamed[facts]

    @classmethod
    def read(cls, model: str, config: bytes, weights: Iterable[ReadableFile]) -> BaseModelFacts:
        """Read a model's config.json and the headers of its safetensors files.

        `model` is its name, for messages. Raises `InvalidBaseModel`.
        """
        if git_lfs.is_pointer(config):
            raise InvalidBaseModel(model, f"its config.json {git_lfs.PROBLEM}", git_lfs.REMEDY)
        remedy = "fetch the model again, or pin another commit"
        try:
            parsed = parse_object(config)
        except NotAnObject as error:
            raise InvalidBaseModel(model, f"its config.json cannot be used: {error}", remedy) from error
        layers: dict[str, tuple[int, int] | None] = {}
        for file in weights:
            if git_lfs.has_pointer(file):
                raise InvalidBaseModel(model, f"a file of its weights {git_lfs.PROBLEM}", git_lfs.REMEDY)
            try:
                layers |= _layers(read_header(model, file))
            except InvalidAdapter as error:
                raise InvalidBaseModel(model, error.problem, remedy) from error
        # A head that is tied to the embeddings is not stored, but an adapter can change it.
        for path in [path for path in layers if path.endswith(f".{_EMBEDDINGS}")]:
            layers.setdefault(_head(path), layers[path])
        architectures, code = parsed.get("architectures"), parsed.get("auto_map")
        has_code = isinstance(code, dict) and any(key.startswith("AutoModel") for key in code)
        first = architectures[0] if isinstance(architectures, list) and architectures else None
        return cls(first if isinstance(first, str) else None, layers, has_code)


def _head(embeddings: str) -> str:
    """Return the path of the head of a language model, which is beside its `model`."""
    parts = embeddings.split(".")
    return ".".join([*(parts[: parts.index("model")] if "model" in parts else []), "lm_head"])


def _layers(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, int] | None]:
    layers: dict[str, tuple[int, int] | None] = {}
    for name, tensor in tensors.items():
        suffix = next((suffix for suffix in _WEIGHTS if name.endswith(suffix)), None)
        if suffix is None or len(tensor.shape) != 2:
            continue
        known = suffix == ".weight" and tensor.dtype in _UNPACKED
        layers[name.removesuffix(suffix)] = (tensor.shape[0], tensor.shape[1]) if known else None
    return layers
