"""The seeder's packages (lambdas/requirements.txt) as a Lambda layer, in build/lambda_layer; without Docker.

Run by `make setup`, and by the CDK CLI before each synth (`build` in cdk.json). An archive that is up to date
is kept, which takes a few milliseconds and no network. Otherwise pip installs the wheels for the Lambda
runtime. Only what pip does not do is code here: the cache of wheels for a build without network, the removal
of files that differ between machines, an archive whose bytes depend on its content alone, and the exchange of
the old layer for the new one.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
from pathlib import Path

from loraserve.errors import UserError
from loraserve.file_lock import locked
from stacks.project import LAMBDA_LAYER as ARCHIVE
from stacks.project import ROOT

REQUIREMENTS = ROOT / "lambdas" / "requirements.txt"
#: The same files as in the archive, unpacked, for inspection and tests.
LAYER = ARCHIVE.with_suffix("")
#: Fingerprint of the layer's sources. Next to the layer, because the layer's content is deployed.
STAMP = LAYER.with_suffix(".stamp")
#: The downloaded wheels. In the virtual environment, so that all working copies that use it share them.
WHEELS = Path(sys.prefix) / "lambda-wheels"
#: pip's options for the Lambda runtime: Python 3.13 on arm64; its Amazon Linux 2023 has glibc 2.34.
RUNTIME = (
    *("--python-version", "3.13", "--implementation", "cp"),
    *("--platform", "manylinux2014_aarch64", "--platform", "manylinux_2_28_aarch64"),
    *("--platform", "manylinux_2_34_aarch64"),
)
#: 1980-01-01, the earliest time that a zip file can hold.
MODIFIED = 315532800
#: Lines of pip's output that are shown when it fails.
TAIL_LINES = 6
#: Written by pip, not part of a wheel; RECORD has hashes of scripts that name this machine's Python.
_OF_THE_INSTALLATION = ("RECORD", "INSTALLER", "REQUESTED")


class LayerError(UserError):
    """The layer cannot be built; the message has pip's reason and the remedy."""


def main() -> None:
    """Build the layer if it is not up to date; exit code 1 with the reason if that fails."""
    if is_built():
        return
    started = time.monotonic()
    print("lambda layer …", file=sys.stderr)
    try:
        build()
    except LayerError as error:
        sys.exit(f"lambda layer: {error}")
    print(f"lambda layer: done in {time.monotonic() - started:.0f} s", file=sys.stderr)


def is_built() -> bool:
    """Return whether the layer was built by this module from the present requirements."""
    try:
        return LAYER.is_dir() and ARCHIVE.is_file() and STAMP.read_text() == _fingerprint()
    except FileNotFoundError:
        return False


def build() -> None:
    """Replace the layer, completely or not at all; raises `LayerError`."""
    import tempfile  # noqa: PLC0415 — not needed for a layer that is up to date

    LAYER.parent.mkdir(exist_ok=True)
    with locked(LAYER.parent), tempfile.TemporaryDirectory(dir=LAYER.parent, prefix="layer-") as folder:
        if is_built():  # by another process, meanwhile
            return
        new = Path(folder) / "new"
        install(new)
        STAMP.unlink(missing_ok=True)
        if LAYER.exists():
            LAYER.rename(Path(folder) / "old")
        pack(new, Path(folder) / "new.zip").rename(ARCHIVE)
        new.rename(LAYER)
        STAMP.write_text(_fingerprint())


def install(layer: Path) -> None:
    """Install the packages into the new folder `layer`; downloads them if a wheel is missing.

    The same wheels always give the same bytes, modes and times. Raises `LayerError`.
    """
    import shutil  # noqa: PLC0415 — not needed for a layer that is up to date

    packages = layer / "python"
    # --isolated: a setting such as PIP_USER does not fit --target.
    offline = ("install", "--isolated", "--no-compile", "--no-index", "--find-links", str(WHEELS))
    if _pip(*offline, "--target", str(packages)) is not None:
        _download()
        failure = _pip(*offline, "--target", str(packages))
        if failure is not None:
            raise LayerError(f"pip cannot install lambdas/requirements.txt; its output ends with:\n{failure}")
    # Scripts and tests have no use in a Lambda function.
    for folder in (packages / "bin", *packages.rglob("tests")):
        shutil.rmtree(folder, ignore_errors=True)
    for path in packages.glob("*.dist-info/*"):
        if path.name in _OF_THE_INSTALLATION:
            path.unlink()
    for path in (*layer.rglob("*"), layer):
        path.chmod(0o755 if path.is_dir() else 0o644)
        os.utime(path, (MODIFIED, MODIFIED))


def pack(layer: Path, archive: Path) -> Path:
    """Write the folder's files into a zip archive, whose bytes depend on them alone; returns the archive.

    Not compressed: another zlib would give other bytes, and so another asset.
    """
    import zipfile  # noqa: PLC0415 — not needed for a layer that is up to date

    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as content:
        for path in sorted(path for path in layer.rglob("*") if path.is_file()):
            # Its date is 1980-01-01, the default of ZipInfo.
            entry = zipfile.ZipInfo(path.relative_to(layer).as_posix())
            entry.create_system, entry.external_attr = 3, 0o100644 << 16
            content.writestr(entry, path.read_bytes())
    return archive


def _download() -> None:
    """Add the wheels that the requirements name to the cache; raises `LayerError` and then adds none."""
    import tempfile  # noqa: PLC0415 — not needed for a layer that is up to date

    with tempfile.TemporaryDirectory(dir=WHEELS.parent, prefix="lambda-wheels-") as folder:
        failure = _pip("download", "--dest", folder)
        if failure is not None:
            raise LayerError(
                "the wheels of lambdas/requirements.txt were not downloaded; the end of pip's output:\n"
                f"{failure}\n"
                "Check the network (or, after an edit of lambdas/requirements.txt, its versions and hashes) "
                "and run the same command again: nothing was changed."
            )
        WHEELS.mkdir(exist_ok=True)
        for wheel in Path(folder).iterdir():
            wheel.replace(WHEELS / wheel.name)


def _pip(command: str, *options: str) -> str | None:
    """Run pip on the requirements, for the Lambda runtime; returns the end of its output if it fails."""
    import subprocess  # noqa: PLC0415 — not needed for a layer that is up to date

    arguments = [sys.executable, "-m", "pip", command, "--quiet", "--no-color", "--disable-pip-version-check"]
    arguments += ["--no-deps", "--require-hashes", "--only-binary=:all:", *RUNTIME]
    arguments += ["--requirement", str(REQUIREMENTS), *options]
    done = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return "\n".join(done.stdout.splitlines()[-TAIL_LINES:]) if done.returncode else None


def _fingerprint() -> str:
    return hashlib.sha256(REQUIREMENTS.read_bytes() + Path(__file__).read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
