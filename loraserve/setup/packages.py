"""Installation of pinned packages into a virtual environment, by pip.

pip installs the packages, not uv, because README.md asks for Python and make alone and because a user's pip
settings (mirror, certificates) then count: uv reads none of them (docs/decisions/0006-hand-made-parts.md).

pip would also write all bytecode, in one process, which took as long as the rest: the packages of a synth
have 200 MB of it, and it needs a tenth. So the first import writes it; where imports may write none,
`compileall` does, with all cores.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from loraserve.setup.errors import SetupError
from loraserve.setup.paths import PYTHON, ROOT
from loraserve.setup.processes import run, show

#: PyTorch's index of builds for CPUs, https://pytorch.org/get-started/locally.
PYTORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
#: pip's message if no index has the version.
_NOT_FOUND = "No matching distribution found"


def pins(files: Iterable[str], root: Path = ROOT) -> list[str]:
    """Return the requirements of the files, without comments."""
    lines = (line for file in files for line in (root / file).read_text().splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def install(requirements: list[str], environment: Path, title: str) -> None:
    """Install pinned packages without their dependencies; raises `SetupError`.

    With PYTHONDONTWRITEBYTECODE, the environment has all bytecode afterwards.
    Builds with a local version, such as torch's `+cpu`, are never on PyPI, which accepts no local versions.
    pip looks for one as it is configured, then in PyTorch's index. That index is asked for this package only:
    as a further index of all packages, it could answer for a name that another index should.
    """
    # The builds that may be missing come first: the reason is known before the other downloads.
    for build in (pin for pin in requirements if "+" in pin):
        try:
            _pip([build], environment, title)
        except SetupError as error:
            if _NOT_FOUND not in str(error):
                raise
            show(f"setup: {title}: {build} from {PYTORCH_CPU_INDEX} …")
            _from_pytorch(build, environment, title)
    others = [pin for pin in requirements if "+" not in pin]
    if others:
        _pip(others, environment, title)
    if sys.dont_write_bytecode:
        _compile(environment)


def _from_pytorch(build: str, environment: Path, title: str) -> None:
    try:
        _pip([build], environment, title, "--index-url", PYTORCH_CPU_INDEX)
    except SetupError as error:
        if _NOT_FOUND not in str(error):
            raise
        raise SetupError(
            f"neither the configured package index nor {PYTORCH_CPU_INDEX} has {build} for this machine, or "
            f"they do not answer.\n{error}"
        ) from error


def _pip(requirements: list[str], environment: Path, title: str, *options: str) -> None:
    pip: list[str | Path] = [PYTHON, "-m", "pip", "--disable-pip-version-check"]
    pip += ["--python", environment / "bin" / "python"]
    # With --no-deps pip prints one line for each package, so they can be counted.
    pip += ["install", "--no-deps", "--no-compile", "--progress-bar", "off", *options, *requirements]
    run(pip, title, counted=len(requirements))


def _compile(environment: Path) -> None:
    """Write the bytecode of all packages, as pip does; a file that is not valid Python stays without."""
    python = environment / "bin" / "python"
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    found = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True)
    command: list[str | Path] = [python, "-m", "compileall", "-qq", "-j", "0", found.stdout.strip()]
    subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
