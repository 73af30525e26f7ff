"""Impacts of template changes, asked of `@aws-cdk/cloudformation-diff`, the library of `cdk diff`."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loraserve.cdk import NODE
from loraserve.errors import UserError
from loraserve.review.difference import Impact
from stacks.project import ROOT

#: Script that calls the library.
SCRIPT = Path(__file__).with_name("impacts.js")
#: The library's ResourceImpact (lib/diff/types.js of 2.187.5).
_IMPACTS = {
    "NO_CHANGE": Impact.NONE,
    "WILL_UPDATE": Impact.UPDATE,
    "WILL_CREATE": Impact.CREATE,
    "WILL_REPLACE": Impact.REPLACE,
    "MAY_REPLACE": Impact.MAY_REPLACE,
    "WILL_DESTROY": Impact.DESTROY,
    "WILL_ORPHAN": Impact.ORPHAN,
    "WILL_IMPORT": Impact.CREATE,
}


class ImpactError(UserError):
    """A failure of the diff library."""


@dataclass(frozen=True)
class ResourceImpact:
    """Impact of a resource's change."""

    impact: Impact
    properties: Mapping[str, Impact]
    """By name, of the changed ones; one may be changed only because it refers to a replaced resource."""
    stateful: bool | None = None
    """True for a type that holds data, by AWS's resource specification; None for a type it does not know."""


def impacts(pairs: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> list[dict[str, ResourceImpact]]:
    """Return the impacts of each pair of templates, before and after, by logical id."""
    return [
        {
            logical_id: ResourceImpact(
                _IMPACTS[found["impact"]],
                {name: _IMPACTS[impact] for name, impact in found["properties"].items()},
                found["stateful"],
            )
            for logical_id, found in resources.items()
        }
        for resources in call(SCRIPT, pairs)
    ]


def call(script: Path, value: object) -> Any:
    """Run a script of the diff library and return its answer, both as JSON; raises `ImpactError`."""
    done = subprocess.run(
        [NODE, script],
        input=json.dumps(value),
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={"NODE_PATH": str(ROOT / "node_modules"), "NO_COLOR": "1"},
    )
    if done.returncode != 0:
        raise ImpactError(f"the diff library failed, run `make setup` and try again:\n{done.stderr.strip()}")
    return json.loads(done.stdout)
