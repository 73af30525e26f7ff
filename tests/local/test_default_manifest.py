"""The shipped stage `dev`, its store deployed by the CDK CLI against a Hub with the article's repository."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load

from adapters.store.layout import ADAPTER_FILES, CONFIG_FILE, WEIGHTS_FILE
from adapters.store.registry import AdapterRegistry
from laptop_cloud.cloud import LaptopCloud
from stacks.project import ROOT
from tests.hub import article
from tests.hub.server import HubServer
from tests.local.updates.stage import Stage


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubServer]:
    """A Hub with the article's two repositories."""
    model = article.base_model(tmp_path)
    with HubServer() as server:
        server.add(article.REPO, article.repository())
        server.add(article.BASE_MODEL, model | {"config.json": model["config.json"].read_bytes()})
        yield server


def test_the_default_manifest_deploys(
    hub: HubServer, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = yaml.safe_load((ROOT / "stages" / "dev.yaml").read_text())
    model = hub.repositories[article.BASE_MODEL].branches["main"]
    # The test Hub's commit of the model is another one, and copying it is not what is tested here.
    file["base_model"] |= {"revision": model, "mirror": False}
    del file["adapters"]
    file |= {"account": "000000000000", "hub_endpoint": hub.endpoint}
    with LaptopCloud(tmp_path_factory.mktemp("laptop")) as cloud:
        stage = Stage(cloud, tmp_path, "dev", file, [])
        shutil.copyfile(ROOT / "stages/adapters/gsm8k.yaml", tmp_path / "dev" / "adapters.yaml")
        stage.cdk("bootstrap", "aws://000000000000/us-east-1", "--context", "stage=dev")
        stage.cdk("deploy", "Dev/AdapterStore", "--require-approval", "never", *stage.synthesized())
        outputs = cloud.client("cloudformation").describe_stacks(StackName="LoraServing-Dev-AdapterStore")[
            "Stacks"
        ][0]
        [bucket] = [
            item["OutputValue"] for item in outputs["Outputs"] if item["OutputKey"] == "AdapterBucket"
        ]
        s3 = cloud.client("s3")
        registry = AdapterRegistry(s3, bucket)
        names = sorted(registry.etags())
        assert names == [f"gsm8k-{number:04d}" for number in range(1, 51)]
        entries = [seen.entry for name in names if (seen := registry.get(name)) is not None]
        [entry, *others] = entries
        assert {other.revision for other in others} == {entry.revision}
        assert (entry.converted_from, entry.rank) == (article.CHECKPOINT, 8)
        assert "unknown" not in entry.checked_for, "it was checked against the base model's dimensions"
        listed = s3.list_objects_v2(Bucket=bucket, Prefix=entry.prefix)["Contents"]
        assert [item["Key"] for item in listed] == [entry.prefix + name for name in sorted(ADAPTER_FILES)]
        stored = load(s3.get_object(Bucket=bucket, Key=entry.prefix + WEIGHTS_FILE)["Body"].read())
    assert stored.keys() == article.tensors().keys()
    assert all(torch.equal(stored[name], tensor) for name, tensor in article.tensors().items())
    asked = [
        request.path
        for request in hub.requests
        if request.route == "resolve" and article.REPO in request.path
    ]
    assert {path.rsplit("/", 1)[-1] for path in asked} == {CONFIG_FILE, article.CHECKPOINT}
