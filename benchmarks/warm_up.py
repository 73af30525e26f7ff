"""Warm start: time to the first token while an endpoint gets a new instance, with and without a warm-up.

    python -m benchmarks.warm_up [--quick] [--engine null|vllm] [--rounds N] [--json]   (part of make bench)

A laptop cloud serves an endpoint of one instance under a steady load, open loop, by Zipf's law. Then the
endpoint gets a new fleet (a blue/green update, which keeps its name), and after that a second instance. Each
is compared with the time before it: p99 of the time to the first token in the first 30 s after the new
instance is in service, divided by that of the 30 s before the change. A side without a warm-up
(`gateway.warm_up_seconds: 0`) alternates with one that has it; target: at most 1.5 × with it.

null    the null engine takes the time of an engine with slots and loads: 50 adapters, 50 slots, 20 requests a
        second, 0.15 s for a load and its download, during which the engine generates nothing. It hardly uses
        the processor, so the figures are those of the warm-up.
vllm    the real engine with the 50 sample adapters. On a laptop its two instances share the processor: a
        second instance makes both slower, warm or not.

Duration: about five minutes a round on two cores, twice as much with vllm. Output: out/warm_up.json.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from botocore.credentials import Credentials
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from adapters.store.layout import RegistryEntry, model_prefix, registry_key
from benchmarks import null_engine
from benchmarks.errors import BenchmarkFailed
from benchmarks.publishing import publish
from benchmarks.summary import medians
from laptop_cloud.api.account import DEFAULT_ACCOUNT
from laptop_cloud.cloud import LaptopCloud
from loraserve.demo.scenarios import alternating
from loraserve.load.job import LoadJob
from loraserve.load.processes import run
from loraserve.load.result import LoadOutcome, RequestResult
from loraserve.load.signing import endpoint_target
from loraserve.progress import step
from loraserve.workload.popularity import parse_popularity
from loraserve.workload.workload import Workload
from samples.problems import SEED_PROBLEM, adapter_name
from samples.spec import BASE_DIR, BASE_NAME
from stacks.project import ROOT
from tests.harness.sample_adapters import sample_files
from tests.harness.store import Store

ADAPTERS = SLOTS = 50
WARM, COLD = "warm", "cold"
UPDATE, SCALE_OUT = "update", "scale_out"
#: The greatest p99 after a change, in that before it.
TARGET = 1.5
#: Seconds of an endpoint that a change may take more than its start, and between two polls of its state.
_SLACK_S, _POLL_S = 5.0, 0.05
_ROLE = f"arn:aws:iam::{DEFAULT_ACCOUNT}:role/execution"
_VARIANT = "AllTraffic"
#: Share of requests that may fail: they have no time to the first token.
_MOST_FAILED = 0.01
_LOAD_S, _TOKEN_S, _TOKENS = 0.15, 0.01, 16


class WarmUpEngine(Enum):
    """Engine of the containers."""

    NULL = "null"
    VLLM = "vllm"


@dataclass(frozen=True)
class WarmUpSize:
    """Seconds of the parts of a measurement, and requests per second."""

    fill_s: float
    """Before the first change: instances publish their demand every half minute, at first sooner."""
    window_s: float
    """Compared before and after each change."""
    start_s: float
    """At most, for the start of an instance."""
    rate: float

    @property
    def seconds(self) -> float:
        """Length of the load."""
        return self.fill_s + 3 * self.window_s + 2 * (self.start_s + _SLACK_S)


def size_of(engine: WarmUpEngine, *, quick: bool) -> WarmUpSize:
    """Return the size of a measurement."""
    window_s = 15.0 if quick else 30.0
    if engine is WarmUpEngine.NULL:
        return WarmUpSize(fill_s=45.0, window_s=window_s, start_s=20.0, rate=20.0)
    return WarmUpSize(fill_s=60.0, window_s=window_s, start_s=120.0, rate=3.0)


@dataclass(frozen=True)
class StreamBodies:
    """Bodies of streams for the adapters of a workload."""

    names: tuple[str, ...]
    adapter: tuple[int, ...]

    def __call__(self, index: int) -> bytes:
        """Return the body of request `index`."""
        parameters = {"adapter_id": self.names[self.adapter[index]], "max_new_tokens": _TOKENS}
        return json.dumps({"inputs": SEED_PROBLEM.prompt, "parameters": parameters, "stream": True}).encode()


@dataclass(frozen=True)
class FleetChange:
    """A change of an endpoint; times by `time.monotonic`."""

    asked_s: float
    in_service_s: float
    """The new instance gets requests."""


class MeasuredEndpoint:
    """An endpoint of one variant with one instance at first."""

    def __init__(self, api: Any, name: str, container: Mapping[str, Any]) -> None:
        """Create it, and wait until it is in service."""
        self._api = api
        self.name = name
        self._container = container
        self._configs = 0
        api.create_endpoint(EndpointName=name, EndpointConfigName=self._config())
        self._settle()

    def update(self, keep_s: float) -> FleetChange:
        """Replace the fleet; the old one gets no requests any more, and ends after `keep_s`."""
        blue_green = {
            "TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0},
            "TerminationWaitInSeconds": int(keep_s),
        }
        asked_s = time.monotonic()
        self._api.update_endpoint(
            EndpointName=self.name,
            EndpointConfigName=self._config(),
            DeploymentConfig={"BlueGreenUpdatePolicy": blue_green},
        )
        while True:
            described = self._api.describe_endpoint(EndpointName=self.name)
            pending = described.get("PendingDeploymentSummary", {}).get("ProductionVariants", [{}])
            if any(each.get("Status") == "Baking" for each in pending[0].get("VariantStatus", [])):
                break
            self._check(described)
            time.sleep(_POLL_S)
        change = FleetChange(asked_s, time.monotonic())
        self._settle()
        return change

    def scale_out(self) -> FleetChange:
        """Add an instance."""
        wanted = {"VariantName": _VARIANT, "DesiredInstanceCount": 2}
        asked_s = time.monotonic()
        self._api.update_endpoint_weights_and_capacities(
            EndpointName=self.name, DesiredWeightsAndCapacities=[wanted]
        )
        while True:
            described = self._api.describe_endpoint(EndpointName=self.name)
            if described["ProductionVariants"][0]["CurrentInstanceCount"] == 2:
                return FleetChange(asked_s, time.monotonic())
            self._check(described)
            time.sleep(_POLL_S)

    def delete(self) -> None:
        """Delete it, and wait until its instances have ended."""
        self._api.delete_endpoint(EndpointName=self.name)
        self._api.get_waiter("endpoint_deleted").wait(EndpointName=self.name, WaiterConfig={"Delay": 1})

    def _config(self) -> str:
        self._configs += 1
        name = f"{self.name}-{self._configs}"
        self._api.create_model(ModelName=name, ExecutionRoleArn=_ROLE, PrimaryContainer=self._container)
        variant = {
            "VariantName": _VARIANT,
            "ModelName": name,
            "InstanceType": "ml.g5.xlarge",
            "InitialInstanceCount": 1,
            "RoutingConfig": {"RoutingStrategy": "LEAST_OUTSTANDING_REQUESTS"},
        }
        self._api.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
        return name

    def _settle(self) -> None:
        while (described := self._api.describe_endpoint(EndpointName=self.name))["EndpointStatus"] in (
            "Creating",
            "Updating",
        ):
            time.sleep(_POLL_S)
        self._check(described)

    def _check(self, described: Mapping[str, Any]) -> None:
        if described["EndpointStatus"] not in ("InService", "Creating", "Updating"):
            raise BenchmarkFailed(
                f"endpoint {self.name} is {described['EndpointStatus']}: {described.get('FailureReason')}"
            )


def p99(results: Sequence[RequestResult], from_s: float, to_s: float) -> float:
    """Return the p99 of the seconds from due to first token, of the requests that are due in an interval."""
    waits = [
        result.first_token_s - result.due_s
        for result in results
        if from_s <= result.due_s < to_s and result.first_token_s is not None
    ]
    if not waits:
        raise BenchmarkFailed(
            f"no request was due from {from_s:.0f} to {to_s:.0f} s: the instances took longer to start than "
            "the load lasts; stop other programs, and run it again"
        )
    return float(np.percentile(waits, 99))


class _Setting:
    """A laptop cloud with a store of adapters, and the containers' settings."""

    def __init__(self, cloud: LaptopCloud, engine: WarmUpEngine, folder: Path) -> None:
        self._cloud = cloud
        self._endpoints = 0
        self.names = tuple(adapter_name(number) for number in range(ADAPTERS))
        store = Store(cloud.client("s3"))
        self._settings = {
            "HF_MODEL_ID": BASE_NAME,
            "ADAPTER_BUCKET": store.bucket,
            "MAX_INPUT_LENGTH": "256",
            "MAX_TOTAL_TOKENS": "512",
            "MAX_ADAPTER_RANK": "8",
            "MAX_ACTIVE_ADAPTERS": str(SLOTS),
        }
        self._container: dict[str, Any] = {"Image": "localhost/vllm:benchmark"}
        if engine is WarmUpEngine.NULL:
            self._null(store, folder)
        else:
            self._vllm(store)

    def endpoint(self, side: str) -> MeasuredEndpoint:
        """Create an endpoint with its name in the settings, by which its instances share their demand."""
        self._endpoints += 1
        name = f"{side}-{self._endpoints}"
        seconds = {"WARM_UP_SECONDS": "30" if side == WARM else "0", "ENDPOINT_NAME": name}
        container = self._container | {"Environment": self._settings | seconds}
        return MeasuredEndpoint(self._cloud.client("sagemaker"), name, container)

    def job(self, endpoint: str, size: WarmUpSize, seed: int) -> LoadJob:
        """Return the load on an endpoint; a seed always gives the same requests."""
        random = np.random.default_rng(seed)
        due_s = np.cumsum(random.exponential(1 / size.rate, int(1.2 * size.rate * size.seconds)))
        due_s = due_s[due_s < size.seconds]
        shares = parse_popularity("zipf:1.0", self.names)
        adapter = random.choice(ADAPTERS, size=len(due_s), p=shares).astype(np.int32)
        workload = Workload(
            due_s=due_s,
            adapter=adapter,
            input_tokens=np.full(len(due_s), 60, np.int32),
            output_tokens=np.full(len(due_s), _TOKENS, np.int32),
            adapters=self.names,
        )
        runtime = self._cloud.client("sagemaker-runtime")
        return LoadJob(
            target=endpoint_target(runtime, endpoint, stream=True),
            workload=workload,
            bodies=StreamBodies(self.names, tuple(adapter.tolist())),
            keep_text=False,
        )

    def _null(self, store: Store, folder: Path) -> None:
        options = {"--slots": SLOTS, "--load-seconds": _LOAD_S, "--token-seconds": _TOKEN_S}
        null_engine.install_as_vllm(folder, *(str(part) for option in options.items() for part in option))
        self._settings["PYTHONPATH"] = f"{folder}:{ROOT}"
        for name in self.names:
            # The null engine reads no files.
            entry = RegistryEntry(name, "0" * 16, "0" * 64, 8, 1, BASE_NAME, "made")
            store.s3.put_object(Bucket=store.bucket, Key=registry_key(name), Body=entry.to_json())

    def _vllm(self, store: Store) -> None:
        publish(store, {name: sample_files(name) for name in self.names})
        prefix = model_prefix(BASE_NAME, "local")
        for file in BASE_DIR.iterdir():
            store.s3.upload_file(str(file), store.bucket, prefix + file.name)
        source = {
            "S3Uri": f"s3://{store.bucket}/{prefix}",
            "S3DataType": "S3Prefix",
            "CompressionType": "None",
        }
        self._container["ModelDataSource"] = {"S3DataSource": source}


def measure(setting: _Setting, side: str, size: WarmUpSize, seed: int) -> dict[str, float]:
    """Measure both changes of one endpoint: p99 before and after in seconds, and how often it is as long."""
    endpoint = setting.endpoint(side)
    try:
        with ThreadPoolExecutor(1) as pool:
            answered = threading.Event()
            changing = pool.submit(_change, endpoint, size, answered)
            try:
                done = run(
                    setting.job(endpoint.name, size, seed),
                    lambda _: answered.set(),
                    Credentials(DEFAULT_ACCOUNT, "local"),
                )
            finally:
                answered.set()
            changes = changing.result()
    finally:
        endpoint.delete()
    failed = [result for result in done.results if result.outcome is not LoadOutcome.OK]
    if len(failed) > _MOST_FAILED * len(done.results):
        raise BenchmarkFailed(
            f"{len(failed)} of {len(done.results)} requests failed: {failed[0].outcome.value}: "
            f"{failed[0].message}"
        )
    figures: dict[str, float] = {"failed": len(failed)}
    for kind, change in changes.items():
        asked_s, began_s = (at - done.began_ns / 1e9 for at in (change.asked_s, change.in_service_s))
        steady = p99(done.results, asked_s - size.window_s, asked_s)
        after = p99(done.results, began_s, began_s + size.window_s)
        figures |= {
            f"{kind}_steady_s": steady,
            f"{kind}_after_s": after,
            f"{kind}_ratio": after / steady,
            f"{kind}_start_s": began_s - asked_s,
        }
    return figures


def _change(
    endpoint: MeasuredEndpoint, size: WarmUpSize, answered: threading.Event
) -> dict[str, FleetChange]:
    """Make both changes, the first one `fill_s` after the load has begun, which an answer shows."""
    answered.wait()
    time.sleep(size.fill_s)
    updated = endpoint.update(size.window_s)
    # The time before the next change is not that after the last one.
    time.sleep(max(0.0, updated.in_service_s + 2 * size.window_s - time.monotonic()))
    return {UPDATE: updated, SCALE_OUT: endpoint.scale_out()}


def main(
    quick: Annotated[bool, typer.Option("--quick", help="One round with shorter windows.")] = False,
    engine: Annotated[WarmUpEngine, typer.Option("--engine", help="Engine of the containers.")] = (
        WarmUpEngine.NULL
    ),
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Rounds, each with both sides.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print only one JSON document.")] = False,
) -> None:
    """Measure both changes with and without a warm-up; print the figures and write them to out/."""
    console = Console(stderr=as_json)
    size = size_of(engine, quick=quick)
    found: dict[str, list[dict[str, float]]] = {COLD: [], WARM: []}
    try:
        with tempfile.TemporaryDirectory(prefix="warm-") as name, LaptopCloud() as cloud:
            setting = _Setting(cloud, engine, Path(name))
            for number in range(1 if quick else rounds):
                for side in alternating((COLD, WARM), number):
                    with step(console, f"round {number + 1}, {side}"):
                        found[side].append(measure(setting, side, size, number))
    except BenchmarkFailed as error:
        Console(stderr=True, soft_wrap=True).print(f"[red]✗[/] {escape(str(error))}")
        raise typer.Exit(1) from error
    console.print(_table(found, engine))
    document = {
        "engine": engine.value,
        "cores": os.cpu_count(),
        "quick": quick,
        "size": asdict(size),
        "rounds": found,
        "medians": {side: medians(each) for side, each in found.items()},
    }
    text = json.dumps(document, indent=1) + "\n"
    out = Path(ROOT) / "out"
    out.mkdir(exist_ok=True)
    (out / "warm_up.json").write_text(text)
    if as_json:
        print(text, end="")


def _table(found: Mapping[str, Sequence[Mapping[str, float]]], engine: WarmUpEngine) -> Table:
    table = Table(
        "change",
        "side",
        "p99 before",
        "p99 after",
        "ratio (spread)",
        "start",
        "failed",
        title=f"Warm start, {engine.value}",
    )
    for kind in (UPDATE, SCALE_OUT):
        for side, rounds in found.items():
            middle = medians(rounds)
            ratios = [each[f"{kind}_ratio"] for each in rounds]
            mark = (" ✓" if middle[f"{kind}_ratio"] <= TARGET else " ✗") if side == WARM else ""
            table.add_row(
                kind.replace("_", "-"),
                side,
                f"{middle[f'{kind}_steady_s'] * 1e3:.0f} ms",
                f"{middle[f'{kind}_after_s'] * 1e3:.0f} ms",
                f"{middle[f'{kind}_ratio']:.2f} ({min(ratios):.2f}–{max(ratios):.2f}){mark}",
                f"{middle[f'{kind}_start_s']:.1f} s",
                f"{sum(each['failed'] for each in rounds):.0f}",
            )
    return table


if __name__ == "__main__":
    typer.run(main)
