"""The two sides of a comparison, each synthesized by itself: its app, its cdk.json, its packages.

The head is the working tree with its uncommitted changes. The base is a commit, written to a temporary folder
and synthesized there, so nothing of the head is in it. Both are synthesized at the same time.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from loraserve.cdk import CdkError, finish, running
from loraserve.errors import UserError
from loraserve.review import packages
from loraserve.review.revisions import GitRevision, base_revision, export, head_revision
from loraserve.review.tooling import Tooling, tooling
from loraserve.setup.errors import SetupError
from loraserve.setup.processes import show
from stacks.project import ROOT

#: Folders of the two assemblies.
BEFORE, AFTER = "before", "after"
#: Variables that would lead the processes of an exported commit to the working tree.
OF_THE_HEAD = ("PYTHONPATH", "PYTHONHOME", "PYTHONSAFEPATH", "VIRTUAL_ENV", "NODE_PATH")


class SideError(UserError):
    """A base that cannot be synthesized; the message names it and says why."""


@dataclass(frozen=True, kw_only=True)
class Side:
    """One side of a comparison."""

    name: str
    """Name for a report, e.g. `merge base with origin/main` or `working tree`."""
    commit: str
    """Hash of the commit; of a working tree, the one that it changes."""
    assembly: Path
    """Folder of the cloud assembly."""
    tooling: Tooling | None = None
    """None for an assembly that was not synthesized here."""
    has_heads_packages: bool = False
    """Marks a base that was synthesized with the head's packages though its lock files name others: what the
    packages change in the templates does not show."""
    only: str | None = None
    """Id of the one stage that is compared, e.g. `Prod`; None for all."""


@contextmanager
def synthesized_sides(
    base: str | None, stage: str | None, *, same_packages: bool = False
) -> Iterator[tuple[Side, Side]]:
    """Synthesize base and head; their assemblies exist within the block.

    `base` is a revision, see `base_revision`. With `same_packages` the base gets the head's packages,
    whatever its lock files say. A stage that only one side has is missing in the other's assembly. Raises
    `RevisionError`, `SideError`, `ToolingError`, or of the head `CdkError`: `AppFailed` with the app's exit
    code.
    """
    before, after = base_revision(base), head_revision()
    with TemporaryDirectory(prefix="lora-serving-") as name:
        folder = Path(name)
        tree = folder / "base"
        export(before.commit, tree, folder / "index")
        variables = _add_packages(tree, before, same_packages=same_packages)
        _synth(tree, before, variables, stage, folder)
        yield (
            Side(
                name=before.name,
                commit=before.commit,
                assembly=folder / BEFORE,
                tooling=tooling(tree),
                has_heads_packages=not packages.are_equal(tree) and same_packages,
            ),
            Side(name=after.name, commit=after.commit, assembly=folder / AFTER, tooling=tooling(ROOT)),
        )


def _add_packages(tree: Path, base: GitRevision, *, same_packages: bool) -> dict[str, str]:
    """Give the base its packages, or the head's; return the variables for its processes."""
    if same_packages or packages.are_equal(tree):
        packages.link_heads(tree)
        # Nothing is written to the head's packages, not even bytecode.
        return {"PYTHONDONTWRITEBYTECODE": "1"}
    missing = packages.missing_locks(tree)
    if missing:
        raise SideError(
            f"the base {_named(base)} has no {' and no '.join(missing)}: it cannot be synthesized; name a "
            "newer revision with BASE=…"
        )
    try:
        packages.link_own(tree)
    except OSError as error:
        raise SideError(
            f"the base {_named(base)} has other packages, and their folder cannot be written: {error}\n"
            "Set XDG_CACHE_HOME to a folder that can be written, or add --same-packages, which does not show "
            "what the packages change"
        ) from error
    except (SetupError, subprocess.CalledProcessError) as error:
        raise SideError(
            f"the base {_named(base)} has other packages, which cannot be installed: {error}\n"
            "Run it again with the package index in reach, or add --same-packages, which does not show what "
            "the packages change"
        ) from error
    return {}


def _synth(tree: Path, base: GitRevision, variables: dict[str, str], stage: str | None, output: Path) -> None:
    """Run both syntheses at the same time; an error of one ends the other."""
    arguments = ["synth", "**", "--quiet", *(() if stage is None else ("--context", f"stage={stage}"))]
    environment = {name: value for name, value in os.environ.items() if name not in OF_THE_HEAD}
    show("synthesis of both sides …")
    with ExitStack() as stack:
        of_base = of_head = None
        if _has(tree, stage) or not _has(ROOT, stage):
            environment |= variables
            of_base = stack.enter_context(
                running(*arguments, environment=environment, output=output / BEFORE, root=tree)
            )
        if _has(ROOT, stage) or not _has(tree, stage):
            of_head = stack.enter_context(
                running(*arguments, environment=os.environ, output=output / AFTER, root=ROOT)
            )
        _finish(of_head, output / AFTER)
        try:
            _finish(of_base, output / BEFORE)
        except CdkError as error:
            # The temporary folder means nothing to a reader.
            reason = str(error).replace(f"{tree}{os.sep}", "")
            raise SideError(
                f"the base {_named(base)} cannot be synthesized; name another revision with BASE=…, or only "
                f"a stage that it can synthesize with STAGE=…\n{reason}"
            ) from error
    show("synthesis of both sides: done", last=True)


def _finish(process: subprocess.Popen[str] | None, assembly: Path) -> None:
    """Wait for the synthesis; without one, write an assembly without stages."""
    if process is not None:
        finish(process, "synth")
        return
    assembly.mkdir()
    (assembly / "manifest.json").write_text(json.dumps({"version": "0.0.0", "artifacts": {}}))


def _has(root: Path, stage: str | None) -> bool:
    """Return whether a working copy has the stage; None is for all stages."""
    return stage is None or (root / "stages" / f"{stage}.yaml").is_file()


def _named(revision: GitRevision) -> str:
    return f"{revision.commit[:7]} ({revision.name})"
