"""States of a stack."""

import pytest

from laptop_cloud.api.service_model import service_model
from loraserve.doctor.checks.stacks import judged
from loraserve.doctor.deployment import PlannedStack
from loraserve.finding import State
from stacks.config.stage_config import LoadedStage

STACK = PlannedStack("Dev/Serving", "LoraServing-Dev-Serving", {})
#: Of every state of CloudFormation: the outcome, and a part of the remedy.
STATES = {
    "CREATE_COMPLETE": "",
    "UPDATE_COMPLETE": "",
    "UPDATE_ROLLBACK_COMPLETE": "",
    "IMPORT_COMPLETE": "",
    "IMPORT_ROLLBACK_COMPLETE": "",
    "REVIEW_IN_PROGRESS": "",
    "DELETE_COMPLETE": "",
    "ROLLBACK_COMPLETE": "",
    "ROLLBACK_FAILED": "",
    "CREATE_IN_PROGRESS": "wait",
    "ROLLBACK_IN_PROGRESS": "wait",
    "DELETE_IN_PROGRESS": "wait",
    "UPDATE_IN_PROGRESS": "wait",
    "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS": "wait",
    "UPDATE_ROLLBACK_IN_PROGRESS": "wait",
    "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS": "wait",
    "IMPORT_IN_PROGRESS": "wait",
    "IMPORT_ROLLBACK_IN_PROGRESS": "wait",
    "CREATE_FAILED": "cdk rollback Dev/Serving -c stage=dev",
    "UPDATE_FAILED": "cdk rollback Dev/Serving -c stage=dev",
    "UPDATE_ROLLBACK_FAILED": "cdk rollback Dev/Serving -c stage=dev",
    "DELETE_FAILED": "--retain-resources",
    "IMPORT_ROLLBACK_FAILED": "describe-stack-events",
}


def test_every_state_is_covered() -> None:
    assert STATES.keys() == set(service_model("cloudformation").shape_for("StackStatus").enum)


@pytest.mark.parametrize(("status", "remedy"), STATES.items())
def test_a_state_and_its_remedy(dev: LoadedStage, status: str, remedy: str) -> None:
    description = {"StackStatus": status, "StackStatusReason": "the reason"}
    finding = judged("stack Serving", STACK, description, dev.target)
    assert finding.state is (State.PROBLEM if remedy else State.OK)
    assert remedy in finding.remedy and f"is {status}: the reason" in finding.found
