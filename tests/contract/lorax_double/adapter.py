"""The adapter of a request (router/src/adapter.rs, `AdapterParameters` in router/src/lib.rs)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.contract.lorax_double.abort import abort

BASE_MODEL_ADAPTER_ID = "__base_model__"
_MERGE_STRATEGIES = ("LINEAR", "TIES", "DARE_LINEAR", "DARE_TIES")
_SIGN_METHODS = ("TOTAL", "FREQUENCY")
#: Look-ups that the key of no adapters survives: `PartialEq` reads its first id when hashes agree in the
#: seven bits that a hash map compares, one time in 128. Here it is always the same look-up.
_LOOKUPS_WITH_A_KEY_OF_NONE = 64


@dataclass
class AdapterParameters:
    """One adapter id, or several with the way to merge them."""

    ids: Sequence[str]
    weights: Sequence[float] = ()
    merge_strategy: str | None = None
    density: float = 0.0
    majority_sign_method: str | None = None

    @property
    def key(self) -> tuple[Any, ...]:
        """Key of equality: of a single adapter only its id, not its source or its token."""
        if len(self.ids) == 1:
            return (self.ids[0],)
        ways = (self.merge_strategy, self.density, self.majority_sign_method)
        return (tuple(self.ids), tuple(self.weights), *ways)

    def into_message(self) -> None:
        """`impl Into<AdapterParametersMessage>`: unwraps what callers wrote."""
        if (self.merge_strategy or "linear").upper() not in _MERGE_STRATEGIES:
            abort("called `Option::unwrap()` on a `None` value: merge_strategy")
        if (self.majority_sign_method or "total").upper() not in _SIGN_METHODS:
            abort("called `Option::unwrap()` on a `None` value: majority_sign_method")


@dataclass(frozen=True)
class Adapter:
    """An adapter as one caller asked for it; equal to all with its index, so for every source and token."""

    index: int
    params: AdapterParameters = field(compare=False)
    source: str = field(compare=False)
    api_token: str | None = field(compare=False)

    def __str__(self) -> str:
        return f"{self.source}:{','.join(self.params.ids)}"


def extract_adapter_params(
    adapter_id: str | None, source: str | None, merged: AdapterParameters | None, default_source: str
) -> tuple[str, AdapterParameters]:
    """The source, and the adapter or adapters; no id means the base model."""
    params = merged or AdapterParameters([adapter_id or BASE_MODEL_ADAPTER_ID])
    return (default_source if source is None else source), params


class AdapterIndex:
    """`adapter_to_index` (router/src/infer.rs): never shrinks, and is filled before a request is validated."""

    def __init__(self) -> None:
        self._indices: dict[tuple[Any, ...], int] = {(BASE_MODEL_ADAPTER_ID,): 0}
        self._lookups_left: int | None = None

    def of(self, params: AdapterParameters) -> int:
        if self._lookups_left is not None:
            self._lookups_left -= 1
            if self._lookups_left == 0:
                abort("index out of bounds: the len is 0 but the index is 0")
        if not params.ids and self._lookups_left is None:
            self._lookups_left = _LOOKUPS_WITH_A_KEY_OF_NONE
        return self._indices.setdefault(params.key, len(self._indices))
