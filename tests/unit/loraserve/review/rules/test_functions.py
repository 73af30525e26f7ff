"""Findings about functions, layers and state machines, for edits of the templates of `prod`."""

import json
from typing import Any

import pytest

from loraserve.review.assembly import Stage
from loraserve.review.comparison import StageComparison
from loraserve.review.engine import findings
from loraserve.review.finding import Level
from tests.unit.loraserve.review.editing import Edit, compared, nothing, put

STORE = "AdapterStore"
WORKER = "SeederWorkerEA269072"
#: Edit of the head, and rule and level of the one finding.
CASES: list[tuple[Edit, str, Level]] = [
    (put(WORKER, "Timeout", 60, STORE), "supply.lambda", Level.ROUTINE),
    (put(WORKER, "Runtime", "python3.14", STORE), "supply.lambda", Level.ROUTINE),
    (put(WORKER, "Description", "x", STORE), "form.description", Level.NOISE),
    (put(WORKER, "ReservedConcurrentExecutions", 0, STORE), "supply.lambda", Level.REVIEW),
    (put(WORKER, "ReservedConcurrentExecutions", {"Ref": "X"}, STORE), "supply.lambda", Level.REVIEW),
    (put(WORKER, "ReservedConcurrentExecutions", 5, STORE), "supply.lambda", Level.ROUTINE),
    (put(WORKER, "Environment.Variables.A", "5", STORE), "supply.lambda", Level.ROUTINE),
    (
        put(WORKER, "Environment.Variables.A", {"Ref": "Bucket83908E77"}, STORE),
        "supply.lambda",
        Level.ROUTINE,
    ),
    (put(WORKER, "Environment.Variables.A", "other-bucket", STORE), "supply.lambda", Level.REVIEW),
    (put(WORKER, "Environment.Variables.A", {"Ref": "Parameter"}, STORE), "supply.lambda", Level.REVIEW),
    (
        put(WORKER, "Layers", ["arn:aws:lambda:us-east-1:1:layer:x:1"], STORE),
        "supply.lambda",
        Level.REVIEW,
    ),
    (
        put(WORKER, "Layers", [{"Ref": "SeederPackages76F22243"}] * 2, STORE),
        "supply.lambda",
        Level.ROUTINE,
    ),
    (put(WORKER, "VpcConfig", {"SubnetIds": ["subnet-1"]}, STORE), "access.network", Level.REVIEW),
    (put(WORKER, "LoggingConfig.LogGroup", "other", STORE), "alarms.blind", Level.REVIEW),
    (put(WORKER, "CodeSigningConfigArn", "x", STORE), "unknown.property", Level.REVIEW),
    (put(WORKER, "FunctionName", "x", STORE), "supply.lambda", Level.ROUTINE),
    (put("ProviderframeworkonEvent83C1D0A7", "FunctionName", "x", STORE), "supply.lambda", Level.REVIEW),
    (put("SeederPackages76F22243", "Description", "x", STORE), "form.layer", Level.NOISE),
    (put("SeederPackages76F22243", "LicenseInfo", "x", STORE), "unknown.property", Level.BLOCK),
    (
        put(
            "Providerwaiterstatemachine5D4A9DF0",
            "DefinitionString",
            json.dumps({"StartAt": "a", "States": {"a": {"Type": "Pass"}}}),
            STORE,
        ),
        "supply.lambda",
        Level.ROUTINE,
    ),
    (
        put("Providerwaiterstatemachine5D4A9DF0", "DefinitionString", {"Ref": "X"}, STORE),
        "supply.lambda",
        Level.REVIEW,
    ),
    (
        lambda templates: templates[STORE]["Resources"].pop("SeederD17DDE2F"),
        "supply.lambda",
        Level.REVIEW,
    ),
    (
        lambda templates: templates[STORE]["Resources"].pop("ProviderframeworkonEvent83C1D0A7"),
        "supply.lambda",
        Level.REVIEW,
    ),
    (
        lambda templates: templates[STORE]["Resources"].update(
            Other=templates[STORE]["Resources"]["SeederD17DDE2F"]
        ),
        "supply.lambda",
        Level.REVIEW,
    ),
]


@pytest.fixture(scope="module")
def changes(prod: Stage) -> list[StageComparison]:
    edits = {str(number): (nothing, edit) for number, (edit, _, _) in enumerate(CASES)}
    return list(compared(prod, edits).values())


@pytest.mark.parametrize("number", range(len(CASES)))
def test_a_function_has_a_level_by_property(number: int, changes: list[StageComparison]) -> None:
    _, rule, level = CASES[number]
    [finding] = findings(changes[number])
    assert (finding.rule, finding.level) == (rule, level)


def test_a_function_that_no_resource_uses_may_go(prod: Stage) -> None:
    def with_another(templates: dict[str, dict[str, Any]]) -> None:
        resources = templates[STORE]["Resources"]
        resources["Other"] = resources[WORKER]

    [change] = compared(prod, {"Prod": (with_another, nothing)}).values()
    [finding] = findings(change)
    assert (finding.rule, finding.level) == ("supply.lambda", Level.ROUTINE)
