"""The instances of an endpoint leave to the next ones what they were asked for: an update, then a scale-out."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from adapters.store.layout import RegistryEntry, registry_key
from benchmarks.null_engine import install_as_vllm
from container.gateway.warm_up.demand_list import demand_prefix
from laptop_cloud.cloud import Cloud
from stacks.project import ROOT
from tests.harness.waiting import wait_until

BUCKET, ENDPOINT = "warm-start", "warm"


@pytest.fixture
def container(cloud: Cloud, tmp_path: Path) -> dict[str, Any]:
    """A gateway in front of an engine that computes nothing, and a store of two adapters."""
    install_as_vllm(tmp_path / "path")
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    for name in ("otter", "heron"):
        entry = RegistryEntry(name, "0" * 16, "0" * 64, 8, 1, "tiny-mistral", "here")
        s3.put_object(Bucket=BUCKET, Key=registry_key(name), Body=entry.to_json())
    environment = {
        "PYTHONPATH": f"{tmp_path / 'path'}:{ROOT}",
        "HF_MODEL_ID": "tiny-mistral",
        "ADAPTER_BUCKET": BUCKET,
        "ENDPOINT_NAME": ENDPOINT,
    }
    return {"image": "localhost/vllm:test", "Environment": environment}


def test_a_new_instance_has_loaded_what_the_others_were_asked_for(
    cloud: Cloud, sagemaker: Any, container: dict[str, Any]
) -> None:
    config = sagemaker.config(sagemaker.model(**container))
    sagemaker.api.create_endpoint(EndpointName=ENDPOINT, EndpointConfigName=config)
    assert sagemaker.settled(ENDPOINT)["EndpointStatus"] == "InService"
    body = {"inputs": "a", "parameters": {"adapter_id": "otter", "max_new_tokens": 1}}
    sagemaker.runtime.invoke_endpoint(
        EndpointName=ENDPOINT, ContentType="application/json", Body=json.dumps(body)
    )
    # The first fleet publishes its demand as it stops, and the second one finds it when it grows.
    sagemaker.api.update_endpoint(
        EndpointName=ENDPOINT, EndpointConfigName=sagemaker.config(sagemaker.model(**container))
    )
    assert sagemaker.settled(ENDPOINT)["EndpointStatus"] == "InService"
    s3 = cloud.client("s3")
    wait_until(
        lambda: s3.list_objects_v2(Bucket=BUCKET, Prefix=demand_prefix(ENDPOINT))["KeyCount"], "a list"
    )
    wanted = {"VariantName": "Main", "DesiredInstanceCount": 2}
    sagemaker.api.update_endpoint_weights_and_capacities(
        EndpointName=ENDPOINT, DesiredWeightsAndCapacities=[wanted]
    )
    while sagemaker.settled(ENDPOINT)["ProductionVariants"][0]["CurrentInstanceCount"] < 2:
        time.sleep(0.1)
    logs = [path.read_text() for path in sorted((cloud.state / "endpoints" / ENDPOINT).glob("*.log"))]
    assert [log.count("warm-up: loaded 1 of 1 wanted adapters") for log in logs] == [0, 0, 1]
    assert [log.count("warm-up: loaded 0 of 0 wanted adapters") for log in logs] == [1, 1, 0]
    sagemaker.delete(ENDPOINT)
