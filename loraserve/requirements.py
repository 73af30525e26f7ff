"""The requirements files: their check (`make check`) and their resolution from the `.in` files (`make lock`).

uv resolves; it is installed with the other development tools. Code here is what uv has no option for: one
environment split into three files without duplicates, the hashes of the wheels for the Lambda runtime and for
the images instead of all hashes of a release, and a check that needs no network: each file has the digest of
its `.in` file.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

from loraserve.errors import UserError
from loraserve.lambda_layer import RUNTIME
from stacks.project import ROOT

#: Installed together into one environment, so a package may stand in one of them only.
TOGETHER = ("requirements.txt", "requirements-local.txt", "requirements-dev.txt")
#: Installed on top of them into the same environment. Resolved without their packages, so that no pin of them
#: changes.
ON_TOP = ("requirements-tour.txt",)
#: Installed alone, in an image or a Lambda layer; their pins must agree with the ones above.
ALONE = (
    "container/gateway/requirements.txt",
    "container/build-requirements.txt",
    "lambdas/requirements.txt",
)
#: Each installed into a separate environment, because its pins differ from the ones above, as they may.
SEPARATE = (
    "requirements-clients.txt",
    "requirements-scan.txt",
    "requirements-audit.txt",
    "requirements-playground.txt",
)
#: pip's options for the images: vLLM's has Python 3.12, LoRAX's gateway and the stand-ins have 3.11. glibc is
#: that of Ubuntu 22.04, the older of the bases, or newer.
_IMAGES = tuple(
    (
        *("--python-version", version, "--implementation", "cp"),
        *("--platform", "manylinux2014_x86_64", "--platform", "manylinux_2_17_x86_64"),
        *("--platform", "manylinux_2_28_x86_64", "--platform", "manylinux_2_34_x86_64"),
    )
    for version in ("3.11", "3.12")
)
#: Each package with the hash of its wheel for each of these runtimes, which are options of pip.
HASHED: Mapping[str, tuple[tuple[str, ...], ...]] = MappingProxyType(
    {
        "lambdas/requirements.txt": (RUNTIME,),
        "container/gateway/requirements.txt": _IMAGES,
        "container/build-requirements.txt": _IMAGES,
    }
)
#: Dependencies that are not installed; the `.in` files have the reasons.
LEFT_OUT = {
    "requirements-local.txt": ("torchvision", "torchaudio", "torchcodec"),
    "requirements-clients.txt": (
        *("huggingface-hub", "cloudpickle", "cryptography", "mock", "omegaconf", "paramiko", "protobuf"),
        *("pytz", "schema", "scipy", "smdebug-rulesconfig", "tblib"),
    ),
    "requirements-scan.txt": ("numpy", "rdflib", "pyparsing"),
    "requirements-tour.txt": (
        *("sagemaker-train", "sagemaker-serve", "sagemaker-mlops"),
        *("cloudpickle", "cryptography", "mock", "omegaconf", "paramiko", "pytz", "schema", "scipy"),
        *("smdebug-rulesconfig", "tblib"),
    ),
    "lambdas/requirements.txt": ("hf-xet",),
}
#: The machine that the pins are for, whichever runs uv. 3.11.5: soupsieve in requirements-scan.txt needs it.
_MACHINE = ("--python-version", "3.11.5", "--python-platform", "x86_64-manylinux_2_28")
#: The same machine with the other processor that the set-up supports.
_ARM_MACHINE = ("--python-version", "3.11.5", "--python-platform", "aarch64-manylinux_2_34")
_X86_ONLY = ' ; platform_machine == "x86_64"'
_LAMBDA = ("--python-version", "3.13", "--python-platform", "aarch64-manylinux_2_34")
#: uv reads none of pip's settings; these have the same meaning for both.
_SETTINGS = ("INDEX_URL", "EXTRA_INDEX_URL", "FIND_LINKS")
_EXACT = re.compile(r"^==[^*]+$")
_DIGEST = re.compile(r"^[0-9a-f]{64}$")
_HASH = " --hash=sha256:"


class LockError(UserError):
    """No set of versions fits, or the index does not answer; the message is uv's or pip's."""


def source(file: str) -> str:
    """Return the `.in` file that a requirements file is resolved from."""
    return str(Path(file).with_suffix(".in"))


def stamp(root: Path, file: str) -> str:
    """Return the line of a requirements file that identifies the `.in` file, comments aside."""
    content = "\n".join(sorted(_requirements((root / source(file)).read_text())))
    digest = hashlib.sha256(content.encode()).hexdigest()
    return f"# From {source(file)}, whose requirements have sha256 {digest}"


def problems(root: Path) -> list[str]:
    """Check the requirements files below `root`; returns a line for each problem."""
    found: list[str] = []
    shared: dict[str, tuple[str, str]] = {}
    for file in (*TOGETHER, *ON_TOP, *ALONE, *SEPARATE):
        pinned = {} if file in SEPARATE else shared
        own: set[str] = set()
        for number, line in enumerate((root / file).read_text().splitlines(), 1):
            if not line or line.startswith("#"):
                continue
            pin, *digests = line.split(_HASH)
            requirement = Requirement(pin)
            name, version = canonicalize_name(requirement.name), str(requirement.specifier)
            where = f"{file}:{number}"
            if _EXACT.fullmatch(version) is None:
                found.append(f"{where}: {pin}: pin it exactly, e.g. {name}==1.2.3")
            if file in HASHED and not _are_hashes(digests, most=len(HASHED[file])):
                found.append(f"{where}: {name}: run make lock, which adds the hash of its wheel")
            first_where, first_version = pinned.setdefault(name, (where, version))
            if name in own or (file in (*TOGETHER, *ON_TOP) and first_where != where):
                found.append(f"{where}: {name} already stands in {first_where}: remove one")
            elif version != first_version:
                found.append(f"{where}: {name}{version} differs from {first_where}: {name}{first_version}")
            own.add(name)
        found += _out_of_step(root, file, pinned)
    return found


def lock(root: Path, options: Sequence[str] = ()) -> None:
    """Resolve every `.in` file below `root` and write the requirements files; raises `LockError`.

    Versions stay as they are where they still fit, unless uv's `options` say otherwise, e.g. `--upgrade`.
    """
    written: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        output, everything = Path(folder) / "one.txt", Path(folder) / "together.txt"
        _resolve(root, TOGETHER, everything, (*_MACHINE, *options))
        shared = ("--constraints", str(everything), *options)
        conditional = _only_on_x86(root, everything, options)
        taken: set[str] = set()
        for file in TOGETHER:
            omitted = (f"--no-emit-package={name}" for name in sorted(taken))
            text = _resolve(root, [file], output, (*_MACHINE, *shared, *omitted))
            found = {pin: Requirement(pin).name for pin in _requirements(text)}
            taken |= set(found.values())
            written[file] = "".join(
                f"{pin}{_X86_ONLY if name in conditional else ''}\n" for pin, name in found.items()
            )
        for file in ON_TOP:
            written[file] = _resolve(root, [file], output, (*_MACHINE, *options), sorted(taken))
        for file in ALONE:
            machine = _LAMBDA if file.startswith("lambdas/") else _MACHINE
            written[file] = _resolve(root, [file], output, (*machine, *shared))
            if file in HASHED:
                written[file] = _with_hashes(written[file], HASHED[file], Path(folder))
        for file in SEPARATE:
            written[file] = _resolve(root, [file], output, (*_MACHINE, *options))
    for file, pins in written.items():
        (root / file).write_text(f"# `make lock` makes this file.\n{stamp(root, file)}\n{pins}")


def _only_on_x86(root: Path, everything: Path, options: Sequence[str]) -> set[str]:
    """Return the packages that are dependencies on x86-64 and not on arm64, e.g. intel-openmp.

    Builds with a local version, such as torch's `+cpu`, are left out of the comparison, because an index for
    one machine may have them for that machine only. Raises `LockError` for a dependency on arm64 alone.
    """
    pins = _requirements(everything.read_text())
    local = [requirement.name for requirement in map(Requirement, pins) if "+" in str(requirement.specifier)]
    constraints = everything.with_name("constraints.txt")
    constraints.write_text("\n".join(pins))
    x86, arm = (
        {
            Requirement(pin).name
            for pin in _requirements(
                _resolve(
                    root,
                    TOGETHER,
                    everything.with_name("machine.txt"),
                    (*machine, "--constraints", str(constraints), *options),
                    local,
                )
            )
        }
        for machine in (_MACHINE, _ARM_MACHINE)
    )
    if arm - x86:
        raise LockError(f"needed on arm64 only, so that no file can pin them: {', '.join(sorted(arm - x86))}")
    return x86 - arm


def _out_of_step(root: Path, file: str, pinned: dict[str, tuple[str, str]]) -> list[str]:
    """Compare `file` with its `.in` file; returns a line for each problem."""
    if stamp(root, file) not in (root / file).read_text().splitlines():
        return [f"{file}: not from {source(file)} as it is: run make lock"]
    asked = map(Requirement, _requirements((root / source(file)).read_text()))
    return [
        f"{file}: {requirement} of {source(file)} is not pinned here: run make lock"
        for requirement in asked
        if (found := pinned.get(canonicalize_name(requirement.name))) is None
        or not requirement.specifier.contains(found[1].removeprefix("=="), prereleases=True)
    ]


def _requirements(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]


def _resolve(
    root: Path, files: Sequence[str], output: Path, options: Iterable[str], excluded: Iterable[str] = ()
) -> str:
    """Run uv on the files' sources and return the pins; the versions that `files` pin now are preferred."""
    output.write_text("".join((root / file).read_text() for file in files))
    left_out = output.with_suffix(".excludes")
    left_out.write_text("\n".join([*excluded, *(name for file in files for name in LEFT_OUT.get(file, ()))]))
    uv = [str(Path(sys.prefix) / "bin" / "uv"), "pip", "compile", "--quiet", "--no-header", "--no-annotate"]
    uv += ["--python", sys.executable, "--excludes", str(left_out), "--output-file", str(output), *options]
    # As pip does it: the best version of all indexes, not the first index that has the package.
    uv += ["--index-strategy", "unsafe-best-match", *map(source, files)]
    done = subprocess.run(uv, cwd=root, env=uv_environment(), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LockError(f"{', '.join(map(source, files))}: {done.stderr.strip()}")
    return output.read_text()


def uv_environment() -> dict[str, str]:
    """Return the environment of uv: this process's, with pip's settings under uv's names."""
    settings = {f"UV_{name}": os.environ[f"PIP_{name}"] for name in _SETTINGS if f"PIP_{name}" in os.environ}
    # Else uv tries to get an interpreter of the version that it resolves for, which it does not need.
    return {"UV_PYTHON_DOWNLOADS": "never"} | settings | os.environ


def _are_hashes(digests: Sequence[str], *, most: int) -> bool:
    return 0 < len(digests) <= most and all(map(_DIGEST.fullmatch, digests))


def _with_hashes(pins: str, runtimes: Iterable[Sequence[str]], folder: Path) -> str:
    """Add to each pin the hashes of its wheels for the runtimes; `folder` is for the downloads."""
    file = folder / "pins.txt"
    file.write_text(pins)
    digests: dict[str, set[str]] = {}
    for runtime in runtimes:
        with tempfile.TemporaryDirectory(dir=folder) as wheels:
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
            pip += [
                "--no-deps",
                "--only-binary=:all:",
                *runtime,
                "--dest",
                wheels,
                "--requirement",
                str(file),
            ]
            done = subprocess.run(pip, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise LockError(done.stderr.strip())
            for wheel in Path(wheels).iterdir():
                digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
                digests.setdefault(parse_wheel_filename(wheel.name)[0], set()).add(digest)
    return "".join(
        f"{pin}{''.join(_HASH + digest for digest in sorted(digests[_name(pin)]))}\n"
        for pin in _requirements(pins)
    )


def _name(pin: str) -> str:
    return canonicalize_name(Requirement(pin).name)


def main(arguments: Sequence[str]) -> None:
    """Check the files, or with `lock` as first argument write them anew; exit code 1 if that fails."""
    if arguments[:1] == ["lock"]:
        try:
            lock(ROOT, arguments[1:])
        except LockError as error:
            sys.exit(f"✗ {error}")
    lines = problems(ROOT)
    print("\n".join(lines) or "requirements: exact, without duplicates and in step with their .in files")
    sys.exit(bool(lines))


if __name__ == "__main__":
    main(sys.argv[1:])
