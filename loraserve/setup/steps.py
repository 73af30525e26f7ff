"""The levels of the set-up, and the steps of each. A step that is already done is skipped.

- `deploy`: synth, diff, bootstrap, doctor, deploy, pin-images and the adapters commands.
- `laptop`: also the laptop cloud with its engine, for demo, up, invoke and bench.
- `check`: also the development tools, for check and lock. mypy needs all packages for their types.
- `tests`: also the separate environments of the programs that the tests run.

Each level contains the one before, in one virtual environment, so that the next level only adds packages.
Beside them, `scan` adds the separate environment of pip-audit to `deploy`, for images-scan, and `tour` adds
JupyterLab and the SageMaker SDK to `laptop`, for the notebook docs/tour.ipynb.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from loraserve.setup import cdk_cli, environment, platforms
from loraserve.setup.errors import SetupError
from loraserve.setup.isolated import AUDITOR, CLIENTS, SCANNER
from loraserve.setup.packages import install, pins
from loraserve.setup.paths import PYTHON, ROOT, VENV
from loraserve.setup.processes import run
from loraserve.setup.stamps import is_done, step

_INTERRUPTED = 130
#: The steps that install what synthesizes a stage, with the files that they are made from.
_PACKAGES, _CLI = "packages", "node and the CDK CLI"
_SYNTH = {
    _PACKAGES: ("requirements.txt",),
    _CLI: ("package-lock.json", "requirements.txt", str(Path(cdk_cli.__file__).relative_to(ROOT))),
}


def set_up(level: str) -> None:
    """Do the steps of the level that are not done yet; exit code 1 with the reason if one fails."""
    try:
        platforms.check(level, platforms.this_machine())
    except SetupError as error:
        sys.exit(f"setup: {error}")
    try:
        _deploy()
        if level not in ("deploy", "scan"):
            _laptop()
        if level in ("check", "tests"):
            _packages("development tools", "requirements-dev.txt")
        if level == "tour":
            _packages("JupyterLab and the SageMaker SDK", "requirements-tour.txt")
        if level == "tests":
            CLIENTS.ensure()
            SCANNER.ensure()
        if level in ("scan", "tests"):
            AUDITOR.ensure()
    except SetupError as error:
        sys.exit(f"\nsetup: {error}\nThen run the same command again: what is done is kept.")
    except KeyboardInterrupt:
        print("\nsetup: interrupted; run the same command again: what is done is kept.", file=sys.stderr)
        sys.exit(_INTERRUPTED)
    # It has a separate stamp, beside its output: `make clean` removes both, and a synth makes both.
    done = subprocess.run([PYTHON, "-m", "loraserve.lambda_layer"], cwd=ROOT, check=False)
    sys.exit(done.returncode)


def has_locked_packages() -> bool:
    """Return whether a synth runs with the packages that the lock files name."""
    return all(is_done(VENV, title, files) for title, files in _SYNTH.items())


def _deploy() -> None:
    step("virtual environment", [], lambda: environment.make(VENV))
    _packages(_PACKAGES, *_SYNTH[_PACKAGES])
    step(_CLI, _SYNTH[_CLI], lambda: cdk_cli.install(ROOT))
    # Its command `loraserve`; and vLLM finds the container's plugin by its entry point.
    step("this project", ["pyproject.toml"], _install_project)


def _laptop() -> None:
    _packages("packages of the laptop cloud", "requirements-local.txt")
    step("first import of the engine", ["requirements-local.txt"], _import_engine)


def _packages(title: str, file: str) -> None:
    step(title, [file], lambda: install(pins([file]), VENV, title))


def _import_engine() -> None:
    """Import what an engine imports, which writes its bytecode: its start has a time limit.

    It also shows here, and not after a deployment, that the engine runs on this machine.
    """
    modules = "vllm.entrypoints.openai.api_server, container.vllm.cpu_worker"
    run([PYTHON, "-c", f"import {modules}"], "first import of the engine")


def _install_project() -> None:
    editable = ["install", "--no-deps", "--no-build-isolation", "--quiet", "--editable", "."]
    run([PYTHON, "-m", "pip", *editable], "this project")
