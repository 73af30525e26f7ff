"""Causes of a new fleet, in words of the stage file."""

from collections.abc import Iterator

import pytest

from loraserve.review.assembly import Stage
from loraserve.review.causes import ENVIRONMENT, WORDS, causes, unknown_leaves
from loraserve.review.endpoint_update import endpoint_update
from loraserve.review.values import leaves
from stacks.config.container_environment import KEYS
from tests.unit.loraserve.review.editing import Edit, compared, nothing, put

#: Paths of the templates that are unknown by intent: the stage file has no key for them.
UNKNOWN = {"ProductionVariants.InitialVariantWeight", "ProductionVariants.VariantName"}
#: Variables that only the stack knows; another value than the stack's place is unknown.
OF_THE_STACK = {"ADAPTER_BUCKET", "ENDPOINT_NAME", "VARIANT_NAME", "AWS_REGION", "AWS_DEFAULT_REGION"}


@pytest.mark.parametrize("variable", KEYS)
def test_each_variable_of_the_container_has_its_key(variable: str) -> None:
    assert WORDS[f"{ENVIRONMENT}{variable}"] == KEYS[variable]


def paths(stage: Stage) -> Iterator[tuple[str, str]]:
    """Yield logical id and path of every value of model and endpoint config."""
    for name in ("Model", "EndpointConfig"):
        properties = stage.stacks["Serving"].resources[name]["Properties"]
        for leaf in leaves("", {}, properties):
            if leaf.path.split(".")[0] not in {"Tags", "ProductionVariants"}:
                yield name, leaf.path
    [variant] = stage.stacks["Serving"].resources["EndpointConfig"]["Properties"]["ProductionVariants"]
    for leaf in leaves("ProductionVariants.0", {}, variant):
        yield "EndpointConfig", leaf.path


def test_each_value_of_the_templates_is_named_or_unknown_by_intent(prod: Stage) -> None:
    found = list(paths(prod))
    edits: dict[str, tuple[Edit, Edit]] = {
        f"{name}/{path}": (nothing, put(name, path, "another")) for name, path in found
    }
    unknown = set()
    for change in compared(prod, edits).values():
        update = endpoint_update(change)
        assert update is not None, change.id
        assert causes(change, update)
        unknown |= {leaf.path for leaf in unknown_leaves(change, update)}
    expected = {f"{ENVIRONMENT}{variable}" for variable in OF_THE_STACK} | UNKNOWN
    assert unknown == expected | {"ProductionVariants.ModelName"}
