"""The seeder's packages (lambdas/requirements.txt) as a Lambda layer, in build/lambda_layer; without Docker.

Run by `make setup`, and by the CDK CLI before each synth (`build` in cdk.json). What is there already is
kept: that costs a few milliseconds and no network. Standard library only, because a synth waits for it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from stacks.project import LAMBDA_LAYER as ARCHIVE
from stacks.project import ROOT

REQUIREMENTS = ROOT / "lambdas" / "requirements.txt"
#: The same files as the archive, to look at.
LAYER = ARCHIVE.with_suffix("")
#: What the layer was made from. Beside it: inside, it would be deployed.
STAMP = LAYER.with_suffix(".stamp")
#: The downloaded wheels. In the virtual environment, because every working copy that uses it has the same.
WHEELS = Path(sys.prefix) / "lambda-wheels"
#: The Lambda runtime, for pip: Python 3.13 on arm64; its Amazon Linux 2023 has glibc 2.34.
RUNTIME = (
    *("--python-version", "3.13", "--implementation", "cp"),
    *("--platform", "manylinux2014_aarch64", "--platform", "manylinux_2_28_aarch64"),
    *("--platform", "manylinux_2_34_aarch64"),
)
#: 1980-01-01, the earliest time that a zip file can hold.
MODIFIED = 315532800
#: Lines of pip's output that are shown when it fails.
TAIL_LINES = 6
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
#: The part of a wheel for site-packages that is not at its top, e.g. `name-1.0.data/purelib/`.
_DATA = re.compile(r"^[^/]+\.data/(?P<kind>[^/]+)/")


class LayerError(Exception):
    """The layer cannot be made; the message says what to do."""


def main() -> None:
    """Build the layer if it is not there yet; exit code 1 with the reason if that fails."""
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
    """Whether the layer is there, made by this module from the requirements as they are."""
    try:
        return LAYER.is_dir() and ARCHIVE.is_file() and STAMP.read_text() == _fingerprint()
    except FileNotFoundError:
        return False


def build() -> None:
    """Put the layer in place, whole or not at all; raises `LayerError`."""
    import tempfile  # noqa: PLC0415 — not needed for a layer that is there

    LAYER.parent.mkdir(exist_ok=True)
    with _locked(LAYER.parent), tempfile.TemporaryDirectory(dir=LAYER.parent, prefix="layer-") as folder:
        if is_built():  # by another process, meanwhile
            return
        new = Path(folder) / "new"
        unpack(fetch(), new)
        STAMP.unlink(missing_ok=True)
        if LAYER.exists():
            LAYER.rename(Path(folder) / "old")
        pack(new, Path(folder) / "new.zip").rename(ARCHIVE)
        new.rename(LAYER)
        STAMP.write_text(_fingerprint())


def fetch() -> list[Path]:
    """The wheels that the requirements name by their hashes, in order; downloaded if one is missing."""
    wanted = set(_HASH.findall(REQUIREMENTS.read_text()))
    if not wanted <= _by_hash().keys():
        _download()
    found = _by_hash()
    return sorted(found[digest] for digest in wanted)


def unpack(wheels: Iterable[Path], layer: Path) -> None:
    """Fill the new folder `layer`; the same wheels always give the same bytes, modes and times."""
    import zipfile  # noqa: PLC0415 — not needed for a layer that is there

    for wheel in wheels:
        with zipfile.ZipFile(wheel) as content:
            for name in sorted(content.namelist()):
                place = _place(name)
                if place is None:
                    continue
                target = layer / "python" / place
                target.parent.mkdir(parents=True, exist_ok=True)
                # Never over a file of another wheel.
                with target.open("xb") as file:
                    file.write(content.read(name))
    for path in (*layer.rglob("*"), layer):
        path.chmod(0o755 if path.is_dir() else 0o644)
        os.utime(path, (MODIFIED, MODIFIED))


def pack(layer: Path, archive: Path) -> Path:
    """Put the folder's files into a zip archive, whose bytes depend on them alone; returns the archive.

    Not compressed: another zlib would give other bytes, and so another asset.
    """
    import zipfile  # noqa: PLC0415 — not needed for a layer that is there

    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as content:
        for path in sorted(path for path in layer.rglob("*") if path.is_file()):
            # Its date is 1980-01-01, the first that zip knows.
            entry = zipfile.ZipInfo(path.relative_to(layer).as_posix())
            entry.create_system, entry.external_attr = 3, 0o100644 << 16
            content.writestr(entry, path.read_bytes())
    return archive


def _place(name: str) -> str | None:
    """Where a file of a wheel goes below site-packages; None for what a Lambda function has no use for."""
    data = _DATA.match(name)
    if data is not None:
        if data["kind"] not in {"purelib", "platlib"}:
            return None
        name = name[data.end() :]
    # RECORD would list files that are not there.
    unused = name.endswith(("/", ".pyc", ".dist-info/RECORD")) or "tests" in name.split("/")
    return None if unused else name


def _download() -> None:
    import subprocess  # noqa: PLC0415 — not needed for a layer that is there
    import tempfile  # noqa: PLC0415

    with tempfile.TemporaryDirectory(dir=WHEELS.parent, prefix="lambda-wheels-") as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-color"]
        command += ["--disable-pip-version-check", "--no-deps", "--require-hashes", "--only-binary=:all:"]
        command += [*RUNTIME, "--requirement", str(REQUIREMENTS), "--dest", folder]
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        if done.returncode != 0:
            tail = "\n".join(done.stdout.splitlines()[-TAIL_LINES:])
            raise LayerError(
                "the wheels of lambdas/requirements.txt were not downloaded; the end of pip's output:\n"
                f"{tail}\n"
                "Check the network (or, after an edit of lambdas/requirements.txt, its versions and hashes) "
                "and run the same command again: nothing was changed."
            )
        WHEELS.mkdir(exist_ok=True)
        for wheel in Path(folder).iterdir():
            wheel.replace(WHEELS / wheel.name)


def _by_hash() -> dict[str, Path]:
    return {hashlib.sha256(wheel.read_bytes()).hexdigest(): wheel for wheel in WHEELS.glob("*.whl")}


def _fingerprint() -> str:
    return hashlib.sha256(REQUIREMENTS.read_bytes() + Path(__file__).read_bytes()).hexdigest()


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One process at a time; the lock ends with the process, however that ends."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    main()
