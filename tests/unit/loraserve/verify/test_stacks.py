"""Stacks of a stage, against those of a release."""

from __future__ import annotations

import json
from typing import Any

import pytest

from loraserve.finding import State
from loraserve.verify.stacks import check_stacks
from tests.unit.loraserve.stubbed_cloud import THEN, Cloud
from tests.unit.loraserve.verify.made import PROD, SCALING, SERVING, expected


def deployed(cloud: Cloud, **statuses: str) -> None:
    stacks = [
        {
            "StackName": PROD.stack_name(name),
            "CreationTime": THEN,
            "StackStatus": status,
            "EnableTerminationProtection": True,
        }
        for name, status in statuses.items()
    ]
    cloud.answers("cloudformation", "describe_stacks", {"Stacks": stacks})


def has_template(cloud: Cloud, template: dict[str, Any]) -> None:
    cloud.answers("cloudformation", "get_template", {"TemplateBody": json.dumps(template, indent=3)})


def test_the_stacks_of_the_release_pass(cloud: Cloud) -> None:
    deployed(cloud, Serving="UPDATE_COMPLETE", Scaling="CREATE_COMPLETE")
    has_template(cloud, SERVING)
    has_template(cloud, SCALING)
    found = list(check_stacks(PROD, cloud, expected(Serving=SERVING, Scaling=SCALING)))
    assert [finding.state for finding in found] == [State.OK, State.OK]


def test_characters_that_cloudformation_replaces_are_no_difference(cloud: Cloud) -> None:
    deployed(cloud, Serving="UPDATE_COMPLETE")
    has_template(cloud, {**SERVING, "Description": "90 GiB ? 2"})
    [found] = check_stacks(PROD, cloud, expected(Serving={**SERVING, "Description": "90 GiB × 2"}))
    assert found.state is State.OK


def test_another_template_is_a_problem(cloud: Cloud) -> None:
    deployed(cloud, Serving="UPDATE_ROLLBACK_COMPLETE")
    has_template(cloud, SCALING)
    [found] = check_stacks(PROD, cloud, expected(Serving=SERVING))
    assert (found.state, found.check) == (State.PROBLEM, "stack Serving")
    assert "its template is not that of release 2026-11-27-1a2b3c4" in found.found


@pytest.mark.parametrize(("release", "state"), [(None, State.PROBLEM), ("2026-11-27-1a2b3c4", State.WARNING)])
def test_a_rolled_back_stack_passes_only_with_the_template_of_a_release(
    cloud: Cloud, release: str | None, state: State
) -> None:
    deployed(cloud, Serving="UPDATE_ROLLBACK_COMPLETE")
    has_template(cloud, SERVING)
    [found] = check_stacks(PROD, cloud, expected(release, Serving=SERVING))
    assert found.state is state


def test_after_a_failed_update_a_stack_of_a_deployment_by_hand_is_as_before(cloud: Cloud) -> None:
    deployed(cloud, Serving="UPDATE_ROLLBACK_COMPLETE")
    has_template(cloud, SERVING)
    [found] = check_stacks(PROD, cloud, expected(None, Serving=SERVING), just_failed=True)
    assert found.state is State.WARNING


def test_a_stack_that_was_never_created_has_the_template_and_no_resources(cloud: Cloud) -> None:
    deployed(cloud, Scaling="ROLLBACK_COMPLETE")
    [found] = check_stacks(PROD, cloud, expected(Scaling=SCALING), just_failed=True)
    assert (found.state, "ROLLBACK_COMPLETE" in found.found) == (State.PROBLEM, True)


def test_a_missing_stack_one_that_is_left_and_lost_protection_are_problems(cloud: Cloud) -> None:
    deployed(cloud, Scaling="UPDATE_COMPLETE", Network="CREATE_COMPLETE")
    cloud.stubs["cloudformation"].add_response("get_template", {"TemplateBody": json.dumps(SCALING)})
    wanted = expected(Serving=SERVING, Scaling=SCALING)
    states = [(finding.check, finding.state) for finding in check_stacks(PROD, cloud, wanted)]
    assert states == [
        ("stack Serving", State.PROBLEM),
        ("stack Scaling", State.OK),
        ("stacks", State.PROBLEM),
    ]


def test_lost_protection_is_a_problem(cloud: Cloud) -> None:
    stack = {
        "StackName": PROD.stack_name("Serving"),
        "CreationTime": THEN,
        "StackStatus": "UPDATE_COMPLETE",
        "EnableTerminationProtection": False,
    }
    cloud.answers("cloudformation", "describe_stacks", {"Stacks": [stack]})
    has_template(cloud, SERVING)
    [found] = check_stacks(PROD, cloud, expected(Serving=SERVING))
    assert "termination protection is off" in found.found


def test_a_stack_under_way_is_a_problem(cloud: Cloud) -> None:
    deployed(cloud, Serving="UPDATE_IN_PROGRESS")
    [found] = check_stacks(PROD, cloud, expected(Serving=SERVING))
    assert (found.state, "UPDATE_IN_PROGRESS" in found.found) == (State.PROBLEM, True)
