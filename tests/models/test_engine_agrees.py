"""The real engine serves the adapters that `adapters validate` calls valid, with all layers, and no others."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.errors import InvalidAdapter
from adapters.files import LocalFile
from adapters.validation.base_model import BaseModelFacts
from adapters.validation.check_adapter import check_adapter
from adapters.validation.rules import Rules
from stacks.project import ROOT
from tests.models.architectures import BASE, MAX_RANK, MODELS, OBSERVED

#: Differences of log probabilities, which themselves differ by 1 to 2: rounding is far below the first, the
#: effect of the smallest adapter far above the second.
ROUNDING, EFFECT = 0.001, 0.02
#: Most seconds until the engine has answered for a model; it takes 20 for the first, 4 for others.
SECONDS = 240
#: As the container starts vLLM's CPU build (container/vllm/command.py), without the plugin that asks S3.
ENVIRONMENT = {
    **{"VLLM_PLUGINS": "", "VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_CPU_KVCACHE_SPACE": "1"},
    **{"VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": "1", "TORCH_COMPILE_DISABLE": "1"},
    **{"VLLM_NO_USAGE_STATS": "1", "VLLM_LOGGING_LEVEL": "ERROR", "HF_HUB_OFFLINE": "1"},
    # The functions that ask the worker for its slots stay in this process.
    **{"VLLM_ALLOW_INSECURE_SERIALIZATION": "1", "PYTHONWARNINGS": "ignore"},
}


class Observer:
    """A process in which the engine is asked; after a failure another one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "log"
        self.process: subprocess.Popen[str] | None = None

    def observe(self, architecture: str) -> dict[str, Any]:
        """Return what `tests.models.observe` writes of this architecture."""
        (self.folder / architecture).mkdir()
        self.process = self.process or self._started()
        assert self.process.stdin is not None
        self.process.stdin.write(f"{architecture}\n")
        self.process.stdin.flush()
        observed = self.folder / architecture / OBSERVED
        end = time.monotonic() + SECONDS
        while not observed.exists() and self.process.poll() is None and time.monotonic() < end:
            time.sleep(0.05)
        seen: dict[str, Any] = {"failed": self.log.read_text()[-4000:]}
        if observed.exists():
            seen = json.loads(observed.read_text())
        if "failed" in seen:
            self.close()
        return seen

    def _started(self) -> subprocess.Popen[str]:
        with self.log.open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "tests.models.observe", str(self.folder)],
                cwd=ROOT,
                env={**os.environ, **ENVIRONMENT},
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
            )

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None


@pytest.fixture(scope="module")
def observer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observer]:
    started = Observer(tmp_path_factory.mktemp("models"))
    yield started
    started.close()


def validated(architecture: str, folder: Path, name: str) -> str | None:
    """Return the reason for which the validation refuses an adapter; None if it is valid."""
    base = folder / BASE
    weights = [LocalFile(file) for file in base.glob("*.safetensors")]
    facts = BaseModelFacts.read(architecture, (base / "config.json").read_bytes(), weights)
    config = (folder / name / "adapter_config.json").read_bytes()
    file = LocalFile(folder / name / "adapter_model.safetensors")
    rules = Rules(engine="vllm", max_rank=MAX_RANK, base_model=architecture)
    try:
        check_adapter("trial", config, file, rules, facts)
    except InvalidAdapter as error:
        return f"{error.problem}; {error.remedy}"
    return None


def served(seen: dict[str, Any]) -> bool:
    """True if the engine took the adapter and answers as PEFT does."""
    return "refused" not in seen and not seen["lost"] and seen["error"] < ROUNDING and seen["effect"] > EFFECT


def in_words(seen: dict[str, Any]) -> str:
    if "refused" in seen:
        return f"the engine refuses it: {seen['refused'][:300]}"
    lost = f", without a slot for {', '.join(seen['lost'])}" if seen["lost"] else ""
    return f"the engine loads it{lost}; its answer is {seen['error']:.4f} off PEFT's and {seen['effect']:.4f} off the base model's"


@pytest.mark.parametrize("architecture", MODELS)
def test_the_engine_serves_what_is_valid_and_nothing_else(observer: Observer, architecture: str) -> None:
    tiny = MODELS[architecture]
    seen = observer.observe(architecture)
    assert "failed" not in seen, seen["failed"]
    if not tiny.takes_adapters:
        assert "does not support LoRA" in seen[BASE]["refused"]
        seen |= dict.fromkeys(tiny.adapters, seen[BASE])
    else:
        assert seen[BASE]["error"] < ROUNDING, "without an adapter, the engine computes another answer"
    wrong = []
    for name, adapter in tiny.adapters.items():
        refused = validated(architecture, observer.folder / architecture, name)
        if adapter.refused_because is not None and refused is not None and adapter.refused_because in refused:
            refused = None
        if served(seen[name]) != (refused is None):
            said = "valid" if refused is None else f"refused: {refused}"
            wrong.append(f"{name!r} is {said}, but {in_words(seen[name])}")
    assert not wrong, f"{architecture}, {len(wrong)} of {len(tiny.adapters)}:\n" + "\n".join(wrong)
