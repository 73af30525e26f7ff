"""The layers of a base model that adapters may change, as an engine names them.

Three parties name the same layer: the base model's checkpoint, PEFT (which writes the names of the class that
it trained), and the engine. `ArchitectureFacts` has the engine's names, and how the engine makes them of the
two others.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

#: Kinds of a rename, in the order in which vLLM applies them (`WeightsMapper._map_name_with_shard` of
#: model_executor/models/utils.py): a regular expression that is replaced once or everywhere, a part of the
#: name, its start, its end.
How = Literal["once", "pattern", "part", "prefix", "suffix"]

_NUMBER = re.compile(r"(?<![^.])[0-9]+(?![^.])")
_ADAPTER, _CHECKPOINT = ".lora_A.weight", ".weight"


def kind_of(path: str) -> str:
    """Return the name of a layer without its numbers, e.g. `model.layers.*.self_attn.q_proj`."""
    return _NUMBER.sub("*", path)


class Rename(NamedTuple):
    """One step from the name of a tensor to the engine's."""

    how: How
    old: str
    new: str

    def apply(self, name: str) -> str:
        """Return the name after this step."""
        if self.how == "prefix":
            return self.new + name.removeprefix(self.old) if name.startswith(self.old) else name
        if self.how == "suffix":
            return name.removesuffix(self.old) + self.new if name.endswith(self.old) else name
        if self.how == "part":
            return name.replace(self.old, self.new, 1)
        return re.sub(self.old, self.new, name, count=1 if self.how == "once" else 0)


@dataclass(frozen=True)
class ArchitectureFacts:
    """Layers of the models of one class that adapters may change, and the names of them."""

    layers: frozenset[str] | None
    """Kinds of the layers with a slot for adapters (see `kind_of`), where the engine fuses several into one
    the names of the parts. None: not known, every layer of the base model may have one."""
    renames: tuple[Rename, ...] = ()
    """Steps from a tensor's name to the engine's name."""
    embeddings: frozenset[str] = frozenset()
    """Those of `layers` that are embeddings, not linear layers: PEFT has other names for their tensors."""
    within: str = ""
    """Start of the names of layers that may have a slot, where `layers` is not known."""
    _completed: dict[str, str] = field(default_factory=dict, compare=False, repr=False)

    @property
    def takes_adapters(self) -> bool:
        """False if it is known that no layer has a slot."""
        return self.layers != frozenset()

    def of_adapter(self, path: str) -> str:
        """Return the engine's name of a layer that an adapter changes, e.g. `model.layers.0.mlp.up_proj`."""
        return self._renamed(path, _ADAPTER)

    def of_checkpoint(self, path: str) -> str:
        """Return the engine's name of a layer of the base model's checkpoint.

        Checkpoints may leave out the name of the outermost module, which the class adds when it loads them:
        GPT-2's and BLOOM's have `h.0.…` for `transformer.h.0.…`.
        """
        name = self._renamed(path, _CHECKPOINT)
        kind = kind_of(name)
        if kind not in self._completed:
            self._completed[kind] = self._missing_prefix(kind)
        return self._completed[kind] + name

    def serves(self, layer: str) -> bool:
        """Check that a layer, by the engine's name, has a slot, as far as is known."""
        return layer.startswith(self.within) if self.layers is None else kind_of(layer) in self.layers

    def embeds(self, layer: str) -> bool:
        """Check that a layer, by the engine's name, is known as embeddings."""
        return kind_of(layer) in self.embeddings

    def modules(self) -> list[str]:
        """Return the last parts of the names of `layers`, in alphabetical order."""
        return sorted({kind.rpartition(".")[2] for kind in self.layers or ()})

    def _renamed(self, path: str, end: str) -> str:
        name = path + end
        for rename in self.renames:
            name = rename.apply(name)
        return name.removesuffix(end)

    def _missing_prefix(self, kind: str) -> str:
        if self.layers is None or kind in self.layers:
            return ""
        longer = {layer.removesuffix(kind) for layer in self.layers if layer.endswith("." + kind)}
        return longer.pop() if len(longer) == 1 and "*" not in "".join(longer) else ""


#: Of a class that is not known: no layer is ruled out.
UNKNOWN = ArchitectureFacts(None)
#: Of a class for which the engine serves no adapters.
NO_ADAPTERS = ArchitectureFacts(frozenset())


def kinds(layers: Mapping[str, str]) -> frozenset[str]:
    """Return kinds from the names of modules, separated by spaces, by the path of their parent ("": none)."""
    return frozenset(
        f"{parent}.{module}" if parent else module
        for parent, modules in layers.items()
        for module in modules.split()
    )
