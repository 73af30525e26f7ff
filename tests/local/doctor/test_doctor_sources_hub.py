"""The doctor's checks of base model and adapter sources, with each fault planted in the test Hub and in S3."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.store.layout import CONFIG_FILE, WEIGHTS_FILE
from laptop_cloud.cloud import LaptopCloud
from loraserve.doctor.checks import hub
from loraserve.doctor.sources import hub_access
from loraserve.finding import Finding, State
from tests.harness import factories
from tests.harness.checkpoints import write_checkpoint
from tests.harness.ports import free_port
from tests.hub.repository import Faults
from tests.hub.server import HubServer
from tests.local.doctor.sources_stage import Doctor, assert_healthy, assert_remedied

TOKEN = "hf_averysecrettoken"
ADAPTER = factories.adapter(2)
LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 59408\n"
MODEL = "base model"
SOURCES = "adapter sources"


@pytest.fixture
def server() -> Iterator[HubServer]:
    with HubServer() as running:
        running.tokens = {TOKEN: {"acme/wide", "acme/small"}}
        yield running


@pytest.fixture
def secret(laptop: LaptopCloud) -> str:
    """Return the name of a secret with the token."""
    name = f"hub-{uuid.uuid4().hex[:8]}"
    laptop.client("secretsmanager").create_secret(Name=name, SecretString=f"{TOKEN}\n")
    return name


@pytest.fixture
def doctor(laptop: LaptopCloud, tmp_path: Path, server: HubServer) -> Doctor:
    return Doctor(hub.check, laptop, tmp_path)


def base_files() -> dict[str, bytes]:
    """Return the files of the made adapters' base model, as its repository holds them."""
    model = factories.base_model(layers=2)
    weights = model.files["model.safetensors"]
    return {
        "config.json": bytes(model.files["config.json"].read(0, 1000)),
        "model.safetensors": bytes(weights.read(0, weights.size)),
        "tokenizer.json": b"{}",
    }


BASE_FILES = base_files()


def settings(server: HubServer, *, access: dict[str, bool] | None = None, **model: Any) -> dict[str, Any]:
    """Put the base model on the Hub; return the stage's settings for it."""
    revision = server.add(factories.BASE, dict(BASE_FILES), **(access or {}))
    return {
        "hub_endpoint": server.endpoint,
        "base_model": {"name": factories.BASE, "revision": revision, "mirror": True} | model,
    }


def entry(server: HubServer, files: dict[str, bytes] | None = None, **access: bool) -> dict[str, Any]:
    """Put an adapter on the Hub; return its entry of the manifest."""
    commit = server.add("acme/small", dict(files or ADAPTER), **access)
    return {"name": "small", "source": f"hf://acme/small@{commit}"}


def of(findings: list[Finding], check: str) -> Finding:
    [found] = [finding for finding in findings if finding.check == check]
    return found


def test_open_sources_are_healthy(doctor: Doctor, server: HubServer) -> None:
    found = doctor.findings(**settings(server), adapters=[entry(server)])
    assert_healthy(found)
    size = sum(map(len, BASE_FILES.values())) / 10**9
    assert f"3 files, {size:.1f} GB" in of(found, MODEL).found
    assert "1 on the Hub, of 1 adapters" in of(found, SOURCES).found
    assert {request.token for request in server.requests} == {None}


def test_closed_sources_are_read_with_the_token_of_the_secret(
    doctor: Doctor, server: HubServer, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_ofthismachine")
    wanted = settings(server, access={"gated": True})
    small = entry(server, private=True)
    found = doctor.findings(**wanted, adapters=[small], hub_token_secret=secret)
    assert_healthy(found)
    assert "with the seeder's token" in of(found, MODEL).found
    tokens = {request.token for request in server.requests if request.host == "hub"}
    assert TOKEN in tokens
    assert "hf_ofthismachine" not in tokens
    assert TOKEN not in str(found)


@pytest.mark.parametrize(
    ("access", "token", "problem", "remedy"),
    [
        ({"gated": True}, None, "the repository is gated", "create-secret"),
        ({"gated": True}, "hf_stranger", "the token's account has no access", "with that account"),
        ({"private": True}, None, "no such repository, or it is private", "create-secret"),
        ({}, "hf_wrong", "does not accept the token", "(token in hub_token_secret|put-secret-value)"),
    ],
)
def test_what_is_closed_to_the_seeder_is_a_problem(
    doctor: Doctor, laptop: LaptopCloud, server: HubServer, access: dict[str, bool], token: str | None,
    problem: str, remedy: str,
) -> None:  # fmt: skip
    server.tokens["hf_stranger"] = set()
    wanted = settings(server, access=access)
    if token is not None:
        name = f"hub-{uuid.uuid4().hex[:8]}"
        laptop.client("secretsmanager").create_secret(Name=name, SecretString=token)
        wanted["hub_token_secret"] = name
    found = doctor.findings(**wanted, adapters=[entry(server, **access)])
    for check in (MODEL, SOURCES):
        finding = of(found, check)
        assert finding.state is State.PROBLEM
        assert problem in finding.found
        assert re.search(remedy, finding.remedy)
    if token is None:
        assert "hub_token_secret: " in of(found, MODEL).remedy
        assert f"{server.endpoint}/acme/wide" in of(found, MODEL).remedy
    assert token is None or token not in str(found)


def test_a_token_that_this_machine_may_not_read_leaves_closed_sources_unknown(
    doctor: Doctor, server: HubServer
) -> None:
    wanted = settings(server, access={"gated": True}) | {"hub_token_secret": "not-there"}
    found = doctor.findings(**wanted, adapters=[entry(server, private=True)])
    assert [finding.state for finding in found] == [State.UNKNOWN, State.UNKNOWN]
    assert "'not-there' is not readable (ResourceNotFoundException)" in found[0].found


def test_a_model_that_is_not_mirrored_must_be_open_without_the_token(
    doctor: Doctor, server: HubServer, secret: str
) -> None:
    wanted = settings(server, access={"gated": True}, mirror=False)
    found = doctor.findings(**wanted | {"hub_token_secret": secret}, adapters=[entry(server)])
    model = of(found, MODEL)
    assert model.state is State.PROBLEM
    assert "gated, and the container fetches it without a token" in model.found
    assert "base_model.mirror: true" in model.remedy
    # The adapters are checked against it nevertheless: the seeder can read it.
    assert "dimensions" not in of(found, SOURCES).found
    found = doctor.findings(**wanted, adapters=[entry(server)])
    remedy = of(found, MODEL).remedy
    for part in (f"accept the licence at {server.endpoint}/acme/wide", "mirror: true", "create-secret"):
        assert part in remedy
    assert "not checked against the base model's dimensions" in of(found, SOURCES).found


def test_an_open_model_that_is_not_mirrored_is_healthy(doctor: Doctor, server: HubServer) -> None:
    found = doctor.findings(**settings(server, mirror=False), adapters=[entry(server)])
    assert_healthy(found)
    assert "open to the container" in of(found, MODEL).found


def test_an_unknown_revision_and_a_model_without_safetensors_are_problems(
    doctor: Doctor, server: HubServer
) -> None:
    model = doctor.one(MODEL, **settings(server, revision="1" * 40))
    assert model.state is State.PROBLEM
    assert "no revision '111" in model.found
    revision = server.add("acme/pickled", {"config.json": b"{}", "pytorch_model.bin": b"PK"})
    pickled = settings(server, name="acme/pickled", revision=revision)
    model = doctor.one(MODEL, **pickled)
    assert model.state is State.PROBLEM
    assert "no safetensors weights" in model.found


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda files: files.pop(CONFIG_FILE), f"has no {CONFIG_FILE}"),
        (lambda files: files.pop(WEIGHTS_FILE), f"has no {WEIGHTS_FILE}"),
        (lambda files: files.update({WEIGHTS_FILE: files[WEIGHTS_FILE][:-10]}), "weights file"),
        (lambda files: files.update(factories.adapter(1, base="acme/other")), "acme/other"),
        (lambda files: files.update(factories.adapter(1, r=4)), "rank"),
        (lambda files: files.update(factories.adapter(1, use_dora=True)), "use_dora"),
        # Three layers, where the base model has two.
        (lambda files: files.update(factories.adapter(1, mebibytes=3)), "layers"),
    ],
)
def test_an_adapter_that_the_seeder_would_refuse_is_a_problem(
    doctor: Doctor, server: HubServer, change: Callable[[dict[str, bytes]], Any], problem: str
) -> None:
    files = dict(ADAPTER)
    change(files)
    finding = doctor.one(SOURCES, **settings(server), adapters=[entry(server, files)])
    assert finding.state is State.PROBLEM, finding
    assert problem in finding.found
    assert finding.found.startswith("small (hf://acme/small@")
    assert finding.remedy


def test_another_hash_than_the_manifests_is_a_problem(doctor: Doctor, server: HubServer) -> None:
    adapter = entry(server) | {"sha256": "0" * 64}
    finding = doctor.one(SOURCES, **settings(server), adapters=[adapter])
    assert finding.state is State.PROBLEM
    assert "the manifest says 000" in finding.found


def test_copies_of_a_source_are_asked_about_once(doctor: Doctor, server: HubServer) -> None:
    wanted, adapter = settings(server), entry(server) | {"copies": 50}
    found = doctor.findings(**wanted, adapters=[adapter])
    assert "1 on the Hub, of 50 adapters" in of(found, SOURCES).found
    asked = [request for request in server.requests if request.path.startswith("/api/models/acme/small")]
    assert len(asked) == 1
    server.add("acme/small", dict(ADAPTER), gated=True)
    finding = doctor.one(SOURCES, **wanted, adapters=[adapter])
    assert finding.found.startswith("small-0001 and 49 more (hf://")


def test_a_hub_that_cannot_be_reached_is_unknown_in_one_line(doctor: Doctor, server: HubServer) -> None:
    wanted = settings(server) | {"hub_endpoint": f"http://127.0.0.1:{free_port()}"}
    adapters = [{"name": f"a{number}", "source": f"hf://acme/a{number}@{'0' * 40}"} for number in range(300)]
    begin = time.monotonic()
    found = doctor.findings(**wanted, adapters=adapters)
    assert time.monotonic() - begin < 10
    assert [finding.state for finding in found] == [State.UNKNOWN, State.UNKNOWN]
    assert "and 297 more sources: not checked: http://127.0.0.1" in found[1].found
    assert "the seeder may reach it" in found[1].found


def test_a_busy_hub_is_unknown_within_the_time_limit(
    doctor: Doctor, server: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_access, "HUB_SECONDS", 3.0)
    wanted, adapter = settings(server), entry(server)
    server.faults = Faults(rate_limit_every=1, retry_after_seconds=300)
    begin = time.monotonic()
    found = doctor.findings(**wanted, adapters=[adapter])
    assert time.monotonic() - begin < 10
    assert [finding.state for finding in found] == [State.UNKNOWN, State.UNKNOWN]
    assert "HTTP 429" in found[0].found


def test_hundreds_of_sources_take_less_than_half_a_minute(doctor: Doctor, server: HubServer) -> None:
    wanted = settings(server)
    adapters = []
    for number in range(200):
        commit = server.add(f"acme/a{number}", dict(ADAPTER))
        adapters.append({"name": f"a{number}", "source": f"hf://acme/a{number}@{commit}"})
    server.faults = Faults(latency_seconds=0.05)
    begin = time.monotonic()
    found = doctor.findings(**wanted, adapters=adapters)
    assert time.monotonic() - begin < 30
    assert "200 on the Hub, of 200 adapters" in of(found, SOURCES).found
    assert_healthy(found)


class Bucket:
    """A source bucket."""

    def __init__(self, laptop: LaptopCloud) -> None:
        self.s3 = laptop.client("s3")
        self.name = f"source-{uuid.uuid4().hex[:12]}"
        self.s3.create_bucket(Bucket=self.name)

    def put(self, files: dict[str, bytes], **options: Any) -> None:
        for file, content in files.items():
            self.s3.put_object(Bucket=self.name, Key=f"small/{file}", Body=content, **options)

    @property
    def entry(self) -> dict[str, Any]:
        return {"name": "small", "source": f"s3://{self.name}/small/"}


@pytest.fixture
def bucket(laptop: LaptopCloud) -> Bucket:
    return Bucket(laptop)


def s3_settings(server: HubServer) -> dict[str, Any]:
    return settings(server)


def test_a_source_in_s3_is_healthy_with_a_remark(doctor: Doctor, server: HubServer, bucket: Bucket) -> None:
    bucket.put(ADAPTER)
    found = doctor.findings(**s3_settings(server), adapters=[bucket.entry])
    assert_healthy(found)
    assert "the seeder has its own role" in of(found, SOURCES).found


@pytest.mark.parametrize(
    ("files", "state", "problem"),
    [
        ({}, State.PROBLEM, "there is no object under this prefix"),
        (
            {CONFIG_FILE: ADAPTER[CONFIG_FILE]},
            State.PROBLEM,
            "has no adapter_model.safetensors and no adapter_",
        ),
        ({f"en/{file}": content for file, content in ADAPTER.items()}, State.PROBLEM, "an adapter: en"),
        ({"output/model.tar.gz": b"\x1f\x8b"}, State.PROBLEM, "but the archive output/model.tar.gz"),
        (ADAPTER | {CONFIG_FILE: LFS_POINTER}, State.PROBLEM, "is a Git LFS pointer"),
        (ADAPTER | {WEIGHTS_FILE: LFS_POINTER}, State.PROBLEM, "is a Git LFS pointer"),
        (
            {CONFIG_FILE: ADAPTER[CONFIG_FILE], "adapter_model.bin": b"PK\x03\x04"},
            State.PROBLEM,
            "adapter_model.bin",
        ),
        ({**ADAPTER, CONFIG_FILE: b"x" * 2_000_000}, State.PROBLEM, "bytes"),
        ({**ADAPTER, CONFIG_FILE: json.dumps({"peft_type": "LOHA"}).encode()}, State.PROBLEM, "LOHA"),
    ],
)
def test_a_fault_of_a_source_in_s3(
    doctor: Doctor, server: HubServer, bucket: Bucket, files: dict[str, bytes], state: State, problem: str
) -> None:
    bucket.put(files)
    finding = doctor.one(SOURCES, **s3_settings(server), adapters=[bucket.entry])
    assert finding.state is state
    assert problem in finding.found
    assert_remedied([finding])


def test_a_checkpoint_of_pytorch_is_healthy_on_the_hub_and_in_s3(
    doctor: Doctor, server: HubServer, bucket: Bucket, tmp_path: Path
) -> None:
    write_checkpoint(tmp_path, 1)
    files = {file: (tmp_path / file).read_bytes() for file in (CONFIG_FILE, "adapter_model.bin")}
    bucket.put(files)
    wanted, size = settings(server), len(files["adapter_model.bin"])
    server.reset_requests()
    adapters = [entry(server, files) | {"name": "hub"}, bucket.entry]
    found = doctor.findings(**wanted, adapters=adapters)
    assert_healthy(found)
    sent = sum(request.bytes_sent for request in server.requests if "/acme/small/" in request.path)
    assert sent < size / 2, "the tensors' data was read"
    damaged = files | {
        "adapter_model.bin": files["adapter_model.bin"].replace(b"HalfStorage", b"EvilStorage")
    }
    bucket.put(damaged)
    finding = next(f for f in doctor.findings(**wanted, adapters=[bucket.entry]) if f.check == SOURCES)
    assert finding.state is State.PROBLEM
    assert "EvilStorage" in finding.found


def test_a_bucket_that_is_not_there_is_a_problem(doctor: Doctor, server: HubServer) -> None:
    adapters = [{"name": name, "source": f"s3://nowhere-at-all/{name}/"} for name in ("one", "two")]
    finding = doctor.one(SOURCES, **s3_settings(server), adapters=adapters)
    assert finding.state is State.PROBLEM
    assert "two (s3://nowhere-at-all/two/): there is no bucket 'nowhere-at-all'" in finding.found


def test_a_key_of_the_objects_must_be_one_that_the_seeder_may_use(
    doctor: Doctor, laptop: LaptopCloud, server: HubServer, bucket: Bucket
) -> None:
    key = laptop.client("kms").create_key()["KeyMetadata"]["Arn"]
    bucket.put(ADAPTER, ServerSideEncryption="aws:kms", SSEKMSKeyId=key)
    wanted = s3_settings(server) | {"adapters": [bucket.entry]}
    finding = doctor.one(SOURCES, **wanted)
    assert finding.state is State.PROBLEM
    assert f"add {key} to decrypt_keys" in finding.remedy
    assert_healthy(doctor.findings(**wanted, decrypt_keys=[key]))
    assert_healthy(doctor.findings(**wanted, security={"key_arn": key}))


def test_a_local_model_and_local_adapters_need_no_hub(doctor: Doctor) -> None:
    sample = Path(__file__).parents[3] / "samples" / "adapters" / "pirate"
    sample = sample if sample.is_dir() else next(sample.parent.iterdir())
    found = doctor.findings(
        adapters=[{"name": "sample", "source": str(sample)}], hub_endpoint=f"http://127.0.0.1:{free_port()}",
        engine={"name": "vllm", "max_input_tokens": 256, "max_total_tokens": 512, "default_new_tokens": 64,
                "max_new_tokens": 256, "max_adapter_rank": 8},
    )  # fmt: skip
    assert_healthy(found)
    assert "uploaded from this machine" in of(found, MODEL).found
