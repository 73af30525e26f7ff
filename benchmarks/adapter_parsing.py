"""Processor time in which vLLM reads and parses an adapter's files, with and without the kernel's page cache.

It happens in the loop that generates for all requests, so all of them wait for it. It is a part of
`python -m benchmarks.residency`; vLLM's own functions run in a separate process.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from tests.harness.factories import write_adapter

#: Copies of a sample adapter, and MiB of the large one: 40 layers of rank 64 on q_proj of a 7B model.
COPIES = 500
LARGE_MEBIBYTES = 40


def measure(sample: Path, *, quick: bool) -> dict[str, float]:
    """Return milliseconds for an adapter: wall and processor time, cold and warm, small and large."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_measure, sample, 20 if quick else COPIES, 2 if quick else 10).result()


def forget_pages(directory: Path) -> None:
    """Have the kernel drop an adapter's files from its page cache."""
    for path in directory.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _measure(sample: Path, copies: int, large: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="parsing-") as name:
        folder = Path(name)
        small = [folder / f"small-{number}" for number in range(copies)]
        for path in small:
            path.mkdir()
            for file in sample.iterdir():
                (path / file.name).write_bytes(file.read_bytes())
        wide = [folder / f"large-{number}" for number in range(large)]
        for path in wide:
            path.mkdir()
            write_adapter(path, LARGE_MEBIBYTES)
        parse = _parser()
        parse(small[0])
        figures: dict[str, float] = {}
        for size, paths in (("small", small), ("large", wide)):
            for pages in ("cold", "warm"):
                if pages == "cold":
                    for path in paths:
                        forget_pages(path)
                wall, processor = _time(parse, paths)
                figures |= {f"{size}_{pages}_ms": wall, f"{size}_{pages}_cpu_ms": processor}
        return figures


def _parser() -> Callable[[Path], object]:
    """Return what vLLM's worker does with an adapter's directory, for modules q_proj and v_proj."""
    # Here, since only this process of the benchmark needs them: to import them takes seconds.
    import torch  # noqa: PLC0415
    from vllm.lora.lora_model import LoRAModel  # noqa: PLC0415
    from vllm.lora.peft_helper import PEFTHelper  # noqa: PLC0415

    def parse(directory: Path) -> object:
        helper = PEFTHelper.from_local_dir(str(directory), None)
        return LoRAModel.from_local_checkpoint(
            str(directory),
            {"q_proj", "v_proj"},
            peft_helper=helper,
            lora_model_id=1,
            device="cpu",
            dtype=torch.bfloat16,
        )

    return parse


def _time(parse: Callable[[Path], object], paths: Sequence[Path]) -> tuple[float, float]:
    """Return the medians of wall and processor time, in milliseconds."""
    wall, processor = [], []
    for path in paths:
        began, used = time.perf_counter(), time.process_time()
        parse(path)
        wall.append((time.perf_counter() - began) * 1e3)
        processor.append((time.process_time() - used) * 1e3)
    return statistics.median(wall), statistics.median(processor)
