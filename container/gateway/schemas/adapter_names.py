"""Names under which clients of other servers ask for an adapter, and the refusal that names the field.

LMI has `adapters`, vLLM on SageMaker the header `X-Amzn-SageMaker-Adapter-Identifier`, others `lora_id` or
`adapter_name`. A name that is not read would mean the base model, so the rule is about words, not a list.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from urllib.parse import unquote

from container.gateway.errors import GatewayError

#: Adapter ids that mean the base model to LoRAX; so do a missing id and null.
BASE_MODEL_IDS = ("", "__base_model__")
#: The longest part of a client's name that is looked at, and that a message repeats, in characters.
MAX_NAME, MAX_SHOWN = 200, 50
#: An adapter anywhere in a name (`adapterId`, `useLoRA`, but not `exploration`). SageMaker's own are
#: inference components, and target models.
_ADAPTER = re.compile(
    r"(?i:adapt[eo]r|peft|inference[-_ ]?component|target[-_ ]?model)"
    r"|(?:(?<![A-Za-z])|(?<=[a-z])(?=[A-Z]))(?i:q?lora)"
)
#: A model at the end of a name (`model-id`, `base_model`): `model_version` and `model_kwargs` choose none.
_MODEL = re.compile(r"(?i:models?(?:[-_. ]?(?:ids?|names?|identifier|alias|key|ref))?)$")
#: A name in custom attributes, with indices as in a form's (`lora[0]`, `lora[]`).
_NAME = re.compile(r"[\w.-]+(?:\[\w*\])*")
#: What begins a value: spaces, brackets and quotes, the latter escaped in JSON within JSON. And what ends it.
_VALUE = re.compile(r"""([\s\[({<"'\\]*)([^\s;,&|=:"'\\\])}]*)""")
#: Values that are none, without quotes: JSON's and Python's.
_NULLS = ("null", "None")


def selects_adapter(name: str) -> bool:
    """Return whether a name (snake_case, camelCase, a header's) looks like the choice of an adapter."""
    return _names_adapter(name[:MAX_NAME]) or _names_model(name[:MAX_NAME])


# Each request has the same few headers.
@lru_cache(maxsize=512)
def _names_adapter(name: str) -> bool:
    return _ADAPTER.search(name) is not None


@lru_cache(maxsize=512)
def _names_model(name: str) -> bool:
    return _MODEL.search(name) is not None


def shortened(name: str) -> str:
    """Return a client's name for a message: it may have any length."""
    return name if len(name) <= MAX_SHOWN else name[:MAX_SHOWN] + "…"


def is_base_model(value: object, base_model: str) -> bool:
    """Return whether a value, wherever it is, asks for the base model of this name."""
    return isinstance(value, str) and value in (*BASE_MODEL_IDS, base_model)


def name_it_in(field: str) -> str:
    """Return the remedy for an adapter that is named elsewhere than in `field`, or once more."""
    return f"leave it out, and name the adapter in `{field}`"


def pairs_of(attributes: str) -> Iterator[tuple[str, str]]:
    """Yield the names and values in a text without a format, as SageMaker's custom attributes are.

    Before each `=` and `:` is a name, its last word; a value ends at any separator. So it finds the pairs of
    forms, of URLs, of JSON (also within JSON), and of Python's repr. An unquoted null is an empty value.
    """
    before, *others = re.split("[=:]", unquote(attributes))
    name = ""
    for after in others:
        words = _NAME.findall(before)
        name = words[-1].replace("[", ".").replace("]", "").rstrip(".") if words else name
        match = _VALUE.match(after)
        if name and match:
            quoted = not {'"', "'"}.isdisjoint(match[1])
            yield name, "" if match[2] in _NULLS and not quoted else match[2]
        before = after


def check_beside_body(
    place: str, pairs: Iterable[tuple[str, str]], *, field: str, asked: str | None, base_model: str
) -> None:
    """Raise `GatewayError` 422 if a header, or another pair beside the body, chooses another adapter.

    The body names its adapter, `asked`, in `field`; None is the base model. A pair may repeat the body's
    choice, also with a revision if the body has none, as in the attributes of an answer. An empty value
    chooses nothing. Beside an adapter in the body, a name that merely ends in `model` chooses none: it may be
    a device's.
    """
    for name, value in pairs:
        chooses = selects_adapter(name) if asked is None else _names_adapter(name[:MAX_NAME])
        if chooses and not _agrees(value.strip(), asked, base_model):
            raise GatewayError.validation(f"the {place} `{shortened(name)}` is not read: {name_it_in(field)}")


def _agrees(value: str, asked: str | None, base_model: str) -> bool:
    if asked is None:
        return is_base_model(value, base_model)
    return value in ("", asked) or value.partition("@")[0] == asked
