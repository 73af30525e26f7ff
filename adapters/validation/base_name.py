"""The name of the base model in an adapter's config, against the names that the stage knows it by.

PEFT writes the name that the base model was loaded by: the Hub's id, that of a quantized copy, or a path on
the machine that trained. It writes null or an empty text for a model that was not loaded by a name
(`peft/mapping_func.py`, `get_peft_model`: `model.__dict__.get("name_or_path")`).
"""

from __future__ import annotations

import re
from typing import Any

from adapters.errors import InvalidAdapter
from adapters.strict_json import shown
from adapters.validation.rules import Rules

#: Characters of a name in `base_model.also_known_as`.
MAX_NAME_LENGTH = 256
_KEY = "base_model_name_or_path"
_LIST = "base_model.also_known_as in the stage file"
#: Ids of the Hub: `organization/name`. Any other name is a directory on the machine that trained.
_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*", re.ASCII)


def check_base_name(name: str, trained_on: Any, rules: Rules) -> None:
    """Raise `InvalidAdapter` unless the adapter was trained on the stage's base model.

    `name` is the adapter's, `trained_on` its config's `base_model_name_or_path`.
    """
    if trained_on is not None and not isinstance(trained_on, str):
        raise InvalidAdapter(name, f"{_KEY} is {shown(trained_on)}", "it must be the base model's name")
    if rules.is_base_model(trained_on or ""):
        return
    if not trained_on:
        raise InvalidAdapter(
            name,
            f"its config names no base model ({_KEY} is {'null' if trained_on is None else 'empty'})",
            f"write {rules.base_model!r} there; or, if all adapters without a name are of that model, add "
            f'"" to {_LIST}',
        )
    problem = f"it was trained on {_quoted(trained_on)}, this stage serves {rules.base_model!r}"
    publish = "publish it to a stage with that base model"
    if not is_alike(trained_on, rules.base_model):
        raise InvalidAdapter(name, problem, publish)
    same = "is a quantized or re-uploaded copy of it"
    if _HUB_ID.fullmatch(trained_on) is None:
        same = "is a directory with the same model"
    raise InvalidAdapter(
        name,
        problem,
        f"if that {same}, add the name to {_LIST}: dimensions are checked all the same; if not, {publish}",
    )


def is_alike(name: str, base_model: str) -> bool:
    """Return whether a name may mean the base model: a directory may, and an id with all words of the other.

    `unsloth/mistral-7b-instruct-v0.1-bnb-4bit` has all words of `mistralai/Mistral-7B-Instruct-v0.1`.
    """
    if _HUB_ID.fullmatch(name) is None:
        return True
    one, other = _words(name), _words(base_model)
    return one <= other or other <= one


def _words(name: str) -> set[str]:
    return set(re.split(r"[-_]", name.rpartition("/")[2].lower()))


def _quoted(name: str) -> str:
    """Quote a name so that it can be copied: a path in the Hub's cache is longer than other quoted values."""
    return repr(name) if len(name) <= MAX_NAME_LENGTH else shown(name)
