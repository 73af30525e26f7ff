"""The order of the stages by `promote_from`."""

import pytest

from stacks.config.promotion_order import chained, promotion_order
from stacks.typed_yaml import ConfigError


def test_each_stage_comes_after_the_one_before() -> None:
    stages = {"prod": "staging", "dev": None, "local": None, "staging": "dev", "prod2": "staging"}
    assert promotion_order(stages) == ["dev", "staging", "prod", "local", "prod2"]


def test_stages_without_a_connection_are_in_no_release() -> None:
    assert chained({"prod": "staging", "dev": None, "local": None, "staging": "dev"}) == [
        "dev",
        "staging",
        "prod",
    ]
    assert chained({"dev": None, "local": None}) == []


@pytest.mark.parametrize(
    ("stages", "said"),
    [
        ({"prod": "prod"}, "circle: prod ← prod"),
        ({"dev": None, "prod": "staging", "staging": "prod"}, "circle: prod ← staging ← prod"),
        ({"prod": "stagin", "staging": None}, "stages/prod.yaml: promote_from: there is no stage 'stagin'; name one of prod, staging"),
    ],
)  # fmt: skip
def test_what_is_no_order(stages: dict[str, str | None], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        promotion_order(stages)
