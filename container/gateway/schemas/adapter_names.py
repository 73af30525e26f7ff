"""Names under which clients of other servers ask for an adapter, and the refusal that names the field.

LMI has `adapters`, vLLM on SageMaker the header `X-Amzn-SageMaker-Adapter-Identifier`, others `lora_id` or
`adapter_name`. A name that is not read would mean the base model, so the rule is about words, not a list.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from container.gateway.errors import GatewayError

#: Adapter ids that mean the base model to LoRAX; so do a missing id and null.
BASE_MODEL_IDS = ("", "__base_model__")
#: The longest part of a client's name that is looked at, and that a message repeats, in characters.
MAX_NAME, MAX_SHOWN = 200, 50
#: An adapter anywhere in a name (`adapterId`, `useLoRA`, but not `exploration`), or a model at its end
#: (`target_model`, `model-id`): `model_version` and `model_kwargs` choose none. SageMaker's own adapters are
#: inference components.
_SELECTS = re.compile(
    r"(?i:adapt[eo]r|peft|inference[-_ ]?component)"
    r"|(?:(?<![A-Za-z])|(?<=[a-z])(?=[A-Z]))(?i:q?lora)"
    r"|(?i:models?(?:[-_. ]?(?:ids?|names?|identifier|alias|key|ref))?)$"
)
#: `name=value`, `name: value` or JSON's `"name": "value"`. The lookbehind has each character read once.
_PAIR = re.compile(r'(?<![\w.-])([A-Za-z][\w.-]*)"?\s*[=:]\s*"?([^;,&"\s}]*)')


def selects_adapter(name: str) -> bool:
    """Return whether a name (snake_case, camelCase, a header's) looks like the choice of an adapter."""
    return _selects(name[:MAX_NAME])


@lru_cache(maxsize=512)
def _selects(name: str) -> bool:
    # Each request has the same few headers.
    return _SELECTS.search(name) is not None


def shortened(name: str) -> str:
    """Return a client's name for a message: it may have any length."""
    return name if len(name) <= MAX_SHOWN else name[:MAX_SHOWN] + "…"


def name_it_in(field: str) -> str:
    """Return the remedy for an adapter that is named elsewhere than in `field`."""
    return f"name the adapter in `{field}`"


def pairs_of(attributes: str) -> Iterator[tuple[str, str]]:
    """Yield the names and values in SageMaker's custom attributes, an opaque text without a format."""
    return ((match[1], match[2]) for match in _PAIR.finditer(attributes))


def check_beside_body(
    place: str, pairs: Iterable[tuple[str, str]], *, field: str, asked: str | None, base_model: str
) -> None:
    """Raise `GatewayError` 422 if a header, or another pair beside the body, chooses another adapter.

    The body names its adapter, `asked`, in `field`; None is the base model. A pair may repeat the body's
    choice, and an empty value chooses nothing.
    """
    agreeing = (asked,) if asked is not None else (*BASE_MODEL_IDS, base_model)
    for name, value in pairs:
        if selects_adapter(name) and value.strip() and value.strip() not in agreeing:
            raise GatewayError.validation(
                f"the {place} `{shortened(name)}` is not read: leave it out, and {name_it_in(field)}"
            )
