"""Peak memory of the seeder for one large adapter, measured in a separate process.

    python -m benchmarks.seeding_process HUB BUCKET COMMIT

It imports the modules that the Lambda function imports and no others. `benchmarks.seeding` starts it.
Output: JSON on standard output.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import boto3
from botocore.config import Config

from adapters.files import BytesFile
from adapters.source import HubSource
from adapters.store.s3 import S3Client
from adapters.validation.rules import Rules
from ingest.hub import Hub
from ingest.model_files import ModelFiles
from lambdas.adapter_seeder.desired_state import DesiredAdapter, DesiredState
from lambdas.adapter_seeder.outcome import Report
from lambdas.adapter_seeder.seeder import CONNECTIONS, Seeder
from lambdas.adapter_seeder.served_model import ServedModel


def peak_mebibytes() -> float:
    """Return the peak resident memory of this process in MiB, imports included (Linux: VmHWM)."""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


def model_without_layers() -> ModelFiles:
    """Return a base model whose layers are unknown, so that only the transfer is measured."""
    header = b'{"norm.weight":{"dtype":"F16","shape":[1],"data_offsets":[0,2]}}'
    weights = len(header).to_bytes(8, "little") + header + bytes(2)
    files = {"config.json": BytesFile(b"{}"), "model.safetensors": BytesFile(weights)}
    return ModelFiles("acme/wide", files, {})


def seed(
    s3: S3Client,
    bucket: str,
    hub: str,
    adapters: Mapping[str, HubSource],
    base_model: Callable[[], ModelFiles] = model_without_layers,
) -> tuple[float, Report]:
    """Seed adapters of the base model `acme/wide`; return the duration in seconds and the seeder's report."""
    desired = [DesiredAdapter(name, source) for name, source in adapters.items()]
    started = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        report = Seeder(
            s3,
            bucket,
            owner="benchmark",
            desired=DesiredState("manifest", desired, removals=0.2),
            rules=Rules("vllm", 64, "acme/wide"),
            hub=Hub(hub),
            base_model=ServedModel(base_model, revision="0" * 40),
            is_rollback=lambda: False,
        ).run()
    return time.perf_counter() - started, report


def main(hub: str, bucket: str, commit: str) -> None:
    """Seed `hf://acme/large`; print the figures as JSON."""
    s3 = boto3.client("s3", config=Config(max_pool_connections=CONNECTIONS))
    imports = peak_mebibytes()
    seconds, report = seed(s3, bucket, hub, {"large": HubSource("acme/large", commit)})
    figures = {
        "imports": imports,
        "peak": peak_mebibytes(),
        "seconds": seconds,
        "moved": report.bytes_moved,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main(*sys.argv[1:])
