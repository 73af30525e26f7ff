"""Seeding benchmark: how long does the seeder take to fill the adapter store?

    python -m benchmarks.seeding     (also part of make bench)

Compared with the article's procedure: download each repository with `snapshot_download`, then upload its
files one after another with `upload_file`. Both alternate for three rounds, against the same Hub server and
the same S3 (the laptop cloud's); only the ratio is meaningful. A redeploy without changes and the peak
memory for one adapter of 2 GiB are measured as well.

Duration: about four minutes on two cores. Output: out/seeding.json.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from botocore.config import Config
from huggingface_hub import snapshot_download
from huggingface_hub.utils import disable_progress_bars
from rich.console import Console
from rich.table import Table

from adapters.source import HubSource
from adapters.store.layout import ADAPTER_FILES, WEIGHTS_FILE
from adapters.store.s3 import checksum
from adapters.store.transfer import PARALLEL_PARTS
from benchmarks import seeding_process
from lambdas.adapter_seeder.empty_bucket import empty_bucket
from lambdas.adapter_seeder.outcome import Report
from lambdas.adapter_seeder.seeder import CONNECTIONS
from laptop_cloud.cloud import LaptopCloud
from stacks.project import ROOT
from tests.harness import factories
from tests.harness.store import Store

#: Other files of an adapter's repository, and their sizes in bytes: transformers' Trainer saves these files
#: with an adapter, for Mistral in about these sizes.
OTHER_FILES = {
    ".gitattributes": 1_519,
    "README.md": 1_500,
    "special_tokens_map.json": 550,
    "tokenizer.json": 1_795_303,
    "tokenizer.model": 493_443,
    "tokenizer_config.json": 1_460,
    "training_args.bin": 4_728,
}
LATENCY_SECONDS = 0.03
#: Rounds of a comparison. The fastest round of each side counts: other load on the machine only adds time.
ROUNDS = 3
Adapters = Mapping[str, HubSource]


@contextmanager
def hub(folder: Path, latency: float) -> Iterator[tuple[str, dict[str, str]]]:
    """Run the Hub server in a separate process; yield its URL and the commit of each repository."""
    command = [sys.executable, "-m", "tests.hub.server", str(folder), "--latency", str(latency)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdin is not None
        ready = json.loads(process.stdout.readline())
        try:
            yield ready["endpoint"], ready["commits"]
        finally:
            process.stdin.close()


def repository(folder: Path, name: str, seed: int, mebibytes: float) -> None:
    """Write an adapter's repository to disk, in the layout that the Hub server serves."""
    target = folder / "acme" / name
    target.mkdir(parents=True)
    for file, content in factories.adapter(seed, mebibytes=mebibytes).items():
        (target / file).write_bytes(content)
    for file, size in OTHER_FILES.items():
        (target / file).write_bytes(bytes(size))


@contextmanager
def bucket(s3: Any) -> Iterator[str]:
    """Create a bucket, and empty it afterwards: this S3 keeps all objects in memory."""
    name = Store(s3).bucket
    yield name
    empty_bucket(s3, name, has_time=lambda: True)


def article(s3: Any, bucket: str, endpoint: str, adapters: Adapters) -> float:
    """Run the article's procedure; return its duration in seconds."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as cache:
        downloaded: dict[HubSource, Path] = {}
        for name, source in adapters.items():
            if source not in downloaded:
                path = snapshot_download(
                    source.repo, revision=source.revision, endpoint=endpoint, cache_dir=cache, token=False
                )
                downloaded[source] = Path(path)
            for file in sorted(downloaded[source].iterdir()):
                s3.upload_file(str(file), bucket, f"lorax/mistral-adapters/{name}/{file.name}")
    return time.perf_counter() - started


def seed(s3: Any, bucket: str, endpoint: str, adapters: Adapters) -> tuple[float, Report]:
    """Run this project's seeder; return its duration in seconds and its report."""
    return seeding_process.seed(s3, bucket, endpoint, adapters, lambda: factories.base_model(layers=2048))


def compare(s3: Any, endpoint: str, adapters: Adapters, mebibytes: int) -> dict[str, Any]:
    """Compare the fastest rounds of the article and the seeder; measure S3 alone with the same bytes."""
    times: dict[str, list[float]] = {"article": [], "seeder": [], "s3": []}
    for _ in range(ROUNDS):
        with bucket(s3) as name:
            times["article"].append(article(s3, name, endpoint, adapters))
        with bucket(s3) as name:
            seconds, report = seed(s3, name, endpoint, adapters)
            times["seeder"].append(seconds)
            assert report.published == len(adapters)
        with bucket(s3) as name:
            times["s3"].append(s3_alone(s3, name, mebibytes, len(set(adapters.values()))))
    best = {name: min(values) for name, values in times.items()}
    return {"seconds": times, "ratio": best["article"] / best["seeder"], "moved": report.bytes_moved}


def s3_alone(s3: Any, bucket: str, mebibytes: int, count: int) -> float:
    """Upload the same number of bytes from memory; return the seconds: the lower bound for any seeder."""
    body = factories.adapter(0, mebibytes=mebibytes)[WEIGHTS_FILE]
    digest = checksum(hashlib.sha256(body).hexdigest())

    def put(number: int) -> None:
        s3.put_object(Bucket=bucket, Key=str(number), Body=body, ChecksumSHA256=digest)

    started = time.perf_counter()
    with ThreadPoolExecutor(PARALLEL_PARTS) as pool:
        list(pool.map(put, range(count)))
    return time.perf_counter() - started


def unchanged(s3: Any, endpoint: str, adapters: Adapters) -> dict[str, Any]:
    """Measure a second deploy of the same manifest."""
    times = []
    with bucket(s3) as name:
        first, _ = seed(s3, name, endpoint, adapters)
        for _ in range(ROUNDS):
            seconds, report = seed(s3, name, endpoint, adapters)
            assert report == Report(len(adapters), 0, 0, 0), report
            times.append(seconds)
    return {"first": first, "seconds": times, "moved": report.bytes_moved}


def memory(cloud: LaptopCloud, mebibytes: int) -> dict[str, Any]:
    """Measure the peak memory in MiB of a process that seeds one large adapter, imports included."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        target = folder / "acme" / "large"
        target.mkdir(parents=True)
        factories.write_adapter(target, mebibytes)
        size = sum((target / file).stat().st_size for file in ADAPTER_FILES)
        with hub(folder, 0) as (endpoint, commits):
            arguments = [endpoint, Store(cloud.client("s3")).bucket, commits["acme/large"]]
            command = [sys.executable, "-m", "benchmarks.seeding_process", *arguments]
            done = subprocess.run(
                command, cwd=ROOT, env=cloud.environment, check=True, capture_output=True, text=True
            )
    return {"bytes": size, **json.loads(done.stdout)}


def main() -> None:
    """Measure; print the table and write the figures to out/."""
    console = Console()
    disable_progress_bars()
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="hub-") as name, LaptopCloud() as cloud:
        folder = Path(name)
        s3 = cloud.client("s3", Config(max_pool_connections=CONNECTIONS))

        def step(title: str, work: Callable[[], dict[str, Any]]) -> None:
            with console.status(title):
                figures[title] = work()

        repository(folder / "one", "copied", 0, 40)
        with hub(folder / "one", LATENCY_SECONDS) as (endpoint, commits):
            source = HubSource("acme/copied", commits["acme/copied"])
            copies = {f"copied-{n:04d}": source for n in range(1, 51)}
            step("50 copies of one 40 MiB adapter", lambda: compare(s3, endpoint, copies, 40))
        for n in range(50):
            repository(folder / "many", f"other-{n}", n, 20)
        with hub(folder / "many", LATENCY_SECONDS) as (endpoint, commits):
            others = {
                f"other-{n:04d}": HubSource(f"acme/other-{n}", commits[f"acme/other-{n}"]) for n in range(50)
            }
            step("50 different 20 MiB adapters", lambda: compare(s3, endpoint, others, 20))
        for n in range(500):
            repository(folder / "small", f"small-{n}", n, 0.125)
        with hub(folder / "small", 0) as (endpoint, commits):
            small = {
                f"small-{n:04d}": HubSource(f"acme/small-{n}", commits[f"acme/small-{n}"]) for n in range(500)
            }
            step("unchanged redeploy of 500 adapters", lambda: unchanged(s3, endpoint, small))
        step("one adapter of 2 GiB", lambda: memory(cloud, 2048))
    console.print(_table(figures))
    out = ROOT / "out"
    out.mkdir(exist_ok=True)
    (out / "seeding.json").write_text(json.dumps(figures, indent=1) + "\n")


def _table(figures: Mapping[str, Any]) -> Table:
    table = Table(title=f"Filling the store, the fastest of {ROUNDS} rounds, Python {sys.version.split()[0]}")
    for column in ("", "article s", "seeder s", "article ÷ seeder", "S3 alone s", "MiB moved"):
        table.add_column(column, justify="left" if not column else "right")
    for title, figure in figures.items():
        seconds = figure["seconds"]
        moved = f"{figure['moved'] / 2**20:.1f}"
        if "ratio" in figure:
            article_s, seeder_s, s3_s = (f"{min(seconds[name]):.2f}" for name in ("article", "seeder", "s3"))
            table.add_row(title, article_s, seeder_s, f"{figure['ratio']:.1f}", s3_s, moved)
        elif "peak" in figure:
            memory = (
                f" (peak memory {figure['peak']:.0f} MiB, {figure['imports']:.0f} of it Python and imports)"
            )
            table.add_row(title + memory, "", f"{seconds:.2f}", "", "", moved)
        else:
            table.add_row(title, "", f"{min(seconds):.2f}", "", "", moved)
    return table


if __name__ == "__main__":
    main()
