"""`status` and `logs` of a stage in service: the functions behind the commands, on the deployed Local stage."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console

from loraserve.client import InvocationError
from loraserve.logs.logged_request import LoggedRequest
from loraserve.logs.read_log import read_log
from loraserve.logs.selection import RequestSelection
from loraserve.stage_access import StageAccess
from loraserve.status.overview import overview
from loraserve.status.screen import screen
from samples.problems import SEED_PROBLEM
from stacks.config.loading import load_stages
from stacks.project import ROOT
from tests.harness.waiting import wait_until
from tests.local.conftest import Deployed


@pytest.fixture
def access(deployed: Deployed) -> StageAccess:
    return StageAccess(load_stages(ROOT / "stages", "local")[0].target, deployed.cloud.client)


def in_service(deployed: Deployed) -> dict[str, Any]:
    """Return the description of the endpoint once it is not updated: on a slow machine it scales out."""
    sagemaker = deployed.cloud.client("sagemaker")
    sagemaker.get_waiter("endpoint_in_service").wait(
        EndpointName=deployed.endpoint, WaiterConfig={"Delay": 1}
    )
    described: dict[str, Any] = sagemaker.describe_endpoint(EndpointName=deployed.endpoint)
    return described


def test_the_status_of_a_stage_in_service(deployed: Deployed, access: StageAccess) -> None:
    described = in_service(deployed)
    status = overview(access)
    assert status.not_known == {}
    assert status.endpoint is not None
    assert status.endpoint.status == "InService"
    assert status.endpoint.instances == described["ProductionVariants"][0]["CurrentInstanceCount"]
    assert status.stacks is not None
    assert set(status.stacks.values()) <= {"CREATE_COMPLETE", "UPDATE_COMPLETE"}
    assert {"AdapterStore", "Serving"} <= set(status.stacks)
    assert status.adapters is not None
    assert status.adapters.published >= 50
    assert status.alarms is not None
    assert status.alarms.total > 10
    assert status.cost is not None
    assert status.cost.usd is not None
    assert not status.cost.billed
    assert json.loads(json.dumps(status.to_document()))["endpoint"]["status"] == "InService"


def test_the_screen_fits_80_columns_and_24_lines(deployed: Deployed, access: StageAccess) -> None:
    in_service(deployed)
    console = Console(width=80, record=True)
    console.print(screen(overview(access)))
    lines = console.export_text().splitlines()
    assert "InService" in "\n".join(lines)
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80


def test_the_failed_request_of_an_adapter_is_in_its_log(deployed: Deployed, access: StageAccess) -> None:
    begin = datetime.now(UTC) - timedelta(seconds=1)
    deployed.client.generate(SEED_PROBLEM.prompt, adapter="heron", max_new_tokens=2)
    with pytest.raises(InvocationError):
        deployed.client.generate("word " * 2000, adapter="heron", max_new_tokens=2)

    def found(adapter: str, *, every: bool) -> list[LoggedRequest]:
        selection = RequestSelection(adapter=adapter, slow_seconds=60, every=every)
        return list(read_log(access, selection, begin))

    wait_until(lambda: len(found("heron", every=True)) >= 2, "both requests are in the log")
    [failed] = found("heron", every=False)
    assert failed.adapter == f"heron@{deployed.revision('heron')}"
    assert 400 <= failed.status < 500
    assert failed.error
    assert found("otter", every=False) == []
