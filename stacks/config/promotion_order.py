"""The order of stages by `promote_from`."""

from __future__ import annotations

from collections.abc import Mapping

from stacks.typed_yaml import ConfigError


def promotion_order(stages: Mapping[str, str | None]) -> list[str]:
    """Return the stages, each after the one that it is promoted from; raises `ConfigError`.

    `stages` has `promote_from` of each stage. Several stages may be promoted from the same one.
    """
    ordered: list[str] = []
    for name in stages:
        path: list[str] = []
        each: str | None = name
        while each is not None and each not in ordered:
            if each in path:
                raise ConfigError(
                    f"promote_from goes round in a circle: {' ← '.join([*path[path.index(each) :], each])}; "
                    "remove it from the stage that a release reaches first"
                )
            if each not in stages:
                raise ConfigError(
                    f"stages/{path[-1]}.yaml: promote_from: there is no stage {each!r}; name one of "
                    f"{', '.join(stages)}"
                )
            path.append(each)
            each = stages[each]
        ordered += reversed(path)
    return ordered


def chained(stages: Mapping[str, str | None]) -> list[str]:
    """Return the stages that `promote_from` connects with another one, in the order of the promotion."""
    before = set(stages.values())
    return [name for name in promotion_order(stages) if stages[name] is not None or name in before]
