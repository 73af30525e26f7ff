"""The packages of the base: the working tree's where the lock files are equal, otherwise separate ones.

A synth depends on the version of the CDK library. Synthesized with the head's packages, a base would show no
difference for a new version.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import time
import venv
from pathlib import Path

from loraserve.file_lock import locked
from loraserve.setup import cdk_cli, environment
from loraserve.setup.packages import install, pins
from loraserve.setup.processes import show
from stacks.project import ROOT

#: What a synth is made with: the app's packages, the Lambda layer's and the CDK CLI's.
LOCKS = ("requirements.txt", "lambdas/requirements.txt", "package-lock.json")
_NEEDED = ("requirements.txt", "package.json", "package-lock.json")
_FOLDERS = (".venv", "node_modules")
#: Seconds after which an environment that no comparison used is removed: each has almost 1 GB.
UNUSED_SECONDS = 14 * 24 * 3600


def missing_locks(tree: Path) -> list[str]:
    """Return the lock files that the base in `tree` lacks, and without which nothing can be installed."""
    return [name for name in _NEEDED if not (tree / name).is_file()]


def are_equal(tree: Path) -> bool:
    """Return whether the base in `tree` has the working tree's lock files."""
    return all(_content(tree / name) == _content(ROOT / name) for name in LOCKS)


def link_heads(tree: Path) -> None:
    """Give the base the working tree's packages, without a way to write to them or to import its modules.

    The environment is a new one with links to the packages: the working tree itself, which a set-up for the
    laptop cloud installs as an editable package, is left out. The wheels of the Lambda layer are links, so
    that new ones are written beside them.
    """
    _drop(tree)
    own, heads = tree / ".venv", ROOT / ".venv"
    venv.create(own, with_pip=False, symlinks=True)
    _link(heads / "bin", own / "bin")
    for site in heads.glob("lib/python*/site-packages"):
        _link(site, own / site.relative_to(heads))
    if (heads / "lambda-wheels").is_dir():
        (own / "lambda-wheels").mkdir()
        _link(heads / "lambda-wheels", own / "lambda-wheels")
    (tree / "node_modules").symlink_to(ROOT / "node_modules")
    _copy_layer(tree)


def _copy_layer(tree: Path) -> None:
    """Give the base the working tree's Lambda layer; its own build makes another if its sources differ."""
    built = tree / "build"
    for path in (ROOT / "build").glob("lambda_layer*"):
        built.mkdir(exist_ok=True)
        if path.is_dir():
            shutil.copytree(path, built / path.name)
        else:
            shutil.copy2(path, built)


def link_own(tree: Path) -> None:
    """Give the base the packages that its lock files name, installed once; raises `SetupError`.

    They are in the user's cache, by the hash of the lock files and the version of Python. Another process
    that needs the same ones waits for them.
    """
    folder = _cache() / _key(tree)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        done = folder / "complete"
        if not done.exists():
            _make(tree, folder)
        done.touch()
    _drop(tree)
    for name in _FOLDERS:
        (tree / name).symlink_to(folder / name)
    _copy_layer(tree)
    _remove_unused()


def _make(tree: Path, folder: Path) -> None:
    """Install the packages into the folder, replacing those of an attempt that was interrupted."""
    started = time.monotonic()
    title = "packages of the base"
    show(f"setup: {title} …")
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(tree / name, folder / name)
    environment.make(folder / ".venv")  # with pip, for the Lambda layer
    # The first import writes the bytecode.
    install(pins(["requirements.txt"], tree), folder / ".venv", title)
    cdk_cli.install(folder)
    show(f"setup: {title} done in {time.monotonic() - started:.0f} s", last=True)


def _drop(tree: Path) -> None:
    """Remove what the commit has under these names: .gitignore does not keep a link out."""
    for name in _FOLDERS:
        if (tree / name).is_symlink():
            (tree / name).unlink()
        else:
            shutil.rmtree(tree / name, ignore_errors=True)


def _link(source: Path, target: Path) -> None:
    """Link the entries of a folder that the target lacks, but for editable packages."""
    for entry in source.iterdir():
        link = target / entry.name
        if not entry.name.startswith("__editable__") and not os.path.lexists(link):
            link.symlink_to(entry)


def _cache() -> Path:
    """Return the folder of environments, by the XDG Base Directory Specification."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "lora-serving" / "bases"


def _key(tree: Path) -> str:
    content = b"\0".join(_content(tree / name) for name in LOCKS)
    return hashlib.sha256(content + sys.version.encode()).hexdigest()[:16]


def _content(path: Path) -> bytes:
    """Return the content of a file; nothing for one that an old commit lacks."""
    return path.read_bytes() if path.is_file() else b""


def _remove_unused() -> None:
    for folder in _cache().iterdir():
        done = folder / "complete"
        # An installation that was interrupted has only its folder's time.
        last = done if done.exists() else folder
        if time.time() - last.stat().st_mtime > UNUSED_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)
