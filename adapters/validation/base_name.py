"""The name of the base model in an adapter's config, against the names that the stage knows it by.

PEFT writes the name that the base model was loaded by: the Hub's id, that of a quantized copy, or a path on
the machine that trained. It writes null or an empty text for a model that was not loaded by a name
(`peft/mapping_func.py`, `get_peft_model`: `model.__dict__.get("name_or_path")`).
"""

from __future__ import annotations

from typing import Any

from adapters.errors import InvalidAdapter, InvalidFiles
from adapters.strict_json import shown
from adapters.validation.rules import Rules

#: Characters of a name in `base_model.also_known_as`.
MAX_NAME_LENGTH = 256
_KEY = "base_model_name_or_path"
_LIST = "base_model.also_known_as in the stage file"


def check_base_name(name: str, trained_on: Any, rules: Rules) -> None:
    """Raise `InvalidAdapter` unless the adapter was trained on the stage's base model.

    `name` is the adapter's, `trained_on` its config's `base_model_name_or_path`.
    """
    if trained_on is not None and not isinstance(trained_on, str):
        raise InvalidFiles(name, f"{_KEY} is {shown(trained_on)}", "write the base model's name there")
    if rules.is_base_model(trained_on or ""):
        return
    if not trained_on:
        raise InvalidAdapter(
            name,
            f"its config names no base model in {_KEY}",
            f"write {rules.base_model!r} there; or, if every adapter without a name is of that model, add "
            f'"" to {_LIST}',
        )
    raise InvalidAdapter(
        name,
        f"it was trained on {_quoted(trained_on)}, this stage serves {rules.base_model!r}",
        "if that is the same model by another name (a copy, also a quantized one, or a directory), add the "
        f"name to {_LIST}: dimensions are checked all the same; if not, publish it to a stage with that base "
        "model",
    )


def _quoted(name: str) -> str:
    """Quote a name so that it can be copied: a path in the Hub's cache is longer than other quoted values."""
    return repr(name) if len(name) <= MAX_NAME_LENGTH else shown(name)
