"""Lists in the options of a plan."""

from __future__ import annotations

from adapters.closest import closest
from adapters.names import check_module
from loraserve.plan.errors import PlanError
from loraserve.plan.search import usable
from stacks.sizing.demand import Demand
from stacks.sizing.instances import check_type

#: The most adapters in an engine's memory that a stage file takes.
MOST_SLOTS = 1024


def slots_of(text: str) -> list[int]:
    """Read `1,8,50`, in ascending order; empty for `auto`. Raises `PlanError`."""
    return [] if text == "auto" else sorted(set(_numbers("--max-loras", text, MOST_SLOTS)))


def ranks_of(text: str | None, demand: Demand) -> list[int]:
    """Read `16,8,64`, in this order; without it the demand's. Raises `PlanError`."""
    if text is None:
        return [demand.max_adapter_rank]
    return list(dict.fromkeys(_numbers("--rank", text, demand.rules.max_rank)))


def module_names(text: str, demand: Demand) -> tuple[str, ...] | None:
    """Read `q_proj,v_proj`; None, for every module, of `all`. Raises `PlanError`."""
    if text == "all":
        return None
    if (instead := demand.rules.unused_settings.get("adapter_target_modules")) is not None:
        raise PlanError(f"--modules has no effect with {demand.rules.title}, leave it out: {instead}")
    try:
        names = tuple(check_module(name.strip()) for name in text.split(","))
    except ValueError as error:
        raise PlanError(f"--modules: {text!r}: {error}") from None
    # A module that the model does not have would take no memory.
    known = demand.rules.facts(demand.shape.architecture, has_code=False).modules()
    if unknown := next((name for name in names if name not in known), None):
        raise PlanError(
            f"--modules: {demand.shape.architecture} has no {unknown!r}{closest(unknown, known)}: use "
            f"{', '.join(known)}"
        )
    return names


def instance_names(text: str | None, demand: Demand) -> list[str]:
    """Read `all`, those that the engine runs on, or names with commas; raises `PlanError`."""
    if text is None:
        return []
    if text == "all":
        return [instance.name for instance in usable(demand)]
    return [known_instance(name.strip()) for name in text.split(",")]


def known_instance(name: str) -> str:
    """Return the name of an instance type; raises `PlanError` with the closest if it is not known."""
    try:
        return check_type(name)
    except ValueError as error:
        raise PlanError(f"{name!r}: {error}") from None


def _numbers(option: str, text: str, most: int) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    if not all(
        part.isascii() and part.isdecimal() and len(part) < 6 and 1 <= int(part) <= most for part in parts
    ):
        raise PlanError(
            f"{option}: {text!r}: write whole numbers from 1 to {most:,} with commas between them"
        )
    return [int(part) for part in parts]
