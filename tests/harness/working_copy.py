"""Copies of this working tree, for tests that edit it or set it up anew."""

import os
import shutil
import subprocess
from pathlib import Path

from stacks.project import ROOT

#: Left out of the environment: bytecode is written, because a set-up writes all of it where imports may not; and a
#: make that the tests start is not part of the make that runs the tests.
_LEFT_OUT = {"PYTHONDONTWRITEBYTECODE", "MAKEFLAGS", "MFLAGS", "MAKELEVEL"}
#: As on a machine without any credentials.
ENVIRONMENT = {
    name: value for name, value in os.environ.items() if not name.startswith("AWS_") and name not in _LEFT_OUT
} | {
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_CONFIG_FILE": os.devnull,
}


def working_copy(target: Path) -> Path:
    """Copy as `copy`, with the Lambda layer, commit, and link this working tree's environments; return the folder."""
    copy(target)
    shutil.copytree(ROOT / "build", target / "build")
    for name in (".venv", "node_modules"):
        (target / name).symlink_to(ROOT / name)
    commit(target)
    return target


def copy(target: Path) -> None:
    """Copy the committed files and this working tree's changes, without what git ignores."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.splitlines()  # fmt: skip
    for name in listed:
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target / name)


def commit(target: Path) -> None:
    """Make a repository of the folder, with one commit."""
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@example.com"]
    for command in (
        ["init", "--quiet", "--initial-branch=main"],
        ["add", "--all"],
        ["commit", "--quiet", "--message", "base"],
    ):
        subprocess.run([*git, *command], cwd=target, check=True)
