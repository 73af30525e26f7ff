"""A copy of the working tree, as a clone of the commit that it would become."""

import shutil
import subprocess
from pathlib import Path

from stacks.project import ROOT


def working_copy(target: Path) -> Path:
    """Copy the committed tree, with this working tree's files over it, to `target`, and commit it there.

    The environments that a set-up makes are links to this working tree's.
    """
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.splitlines()  # fmt: skip
    for name in listed:
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target / name)
    for name in (".venv", "node_modules"):
        (target / name).symlink_to(ROOT / name)
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@example.com"]
    for command in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "base"]):
        subprocess.run([*git, *command], cwd=target, check=True)
    return target
