"""The commands of `python -m loraserve adapters`."""

from __future__ import annotations

import re
import sys
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Annotated

import typer
from rich.markup import escape
from rich.text import Text

from loraserve.adapters.garbage_collection import collect
from loraserve.adapters.open_store import open_store
from loraserve.adapters.rollback import history, ownership_note, remove, rollback
from loraserve.adapters.stage_store import StageStore
from loraserve.adapters.verify import size_of, verify
from loraserve.cli import adapter_tables as tables
from loraserve.cli.adapter_output import count_of, progress_of, show_either, tell, warn
from loraserve.cli.console import errors, told_plainly

# What reads the Hub (`checking`, `publishing`) is imported by the commands that need it: it takes a quarter
# of a second, which `--help` and all other commands need not wait for.

app = typer.Typer(
    help="""The adapters of a stage: list, check, publish, roll back, clean up.

    Example: python -m loraserve adapters --stage dev list""",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@dataclass(frozen=True)
class _Chosen:
    """The group's options."""

    stage: str
    bucket: str | None

    def open(self) -> StageStore:
        return open_store(self.stage, self.bucket)


AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on standard output, nothing else.")]
Name = Annotated[str, typer.Argument(help="The adapter's name.", show_default=False)]
Source = Annotated[
    str,
    typer.Argument(
        metavar="PATH_OR_SOURCE",
        help="A directory, hf://org/repo@commit or s3://bucket/prefix/.",
        show_default=False,
    ),
]


@app.callback()
def choose(
    context: typer.Context,
    stage: Annotated[
        str, typer.Option(help="A file of stages/, or the path of another stage file.")
    ] = "local",
    bucket: Annotated[
        str | None, typer.Option(help="The store's bucket, instead of the one that the stage's stack made.")
    ] = None,
) -> None:
    """Remember which store is meant."""
    context.obj = _Chosen(stage, bucket)


@app.command(name="list")
def list_command(
    context: typer.Context,
    prefix: Annotated[str, typer.Argument(help="Only names that begin like this.")] = "",
    as_json: AsJson = False,
) -> None:
    """Show what is published.

    Example: python -m loraserve adapters list team/
    """
    with told_plainly():
        store = context.obj.open()
        found = store.list(prefix)
        rows = [asdict(listed.entry) | {"published": listed.published} for listed in found]
        table = tables.adapters(found, store.stack) if found else "no adapters are published here"
        show_either(store, as_json, {"adapters": rows}, table)


@app.command()
def show(context: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Show one adapter: what it stands for, what it stood for, whether its files are there.

    Example: python -m loraserve adapters show otter
    """
    with told_plainly():
        store = context.obj.open()
        published, past = store.published(name), history(store, name)
        if published is None and not past:
            raise store.unknown(name)
        entry = published.entry if published else None
        stored = store.revision(name, entry.revision) if entry else None
        retired = stored is not None and store.retention.is_retired(stored.prefix)
        document = {
            "name": name,
            "entry": entry,
            "reference": f"{name}@{entry.revision}" if entry else None,
            "engine_id": entry.prefix if entry else None,
            "complete": stored is not None and stored.is_complete,
            "retired": retired,
            "objects": stored.objects if stored else {},
            "history": [
                {"since": seen.version.since, "entry": seen.version.entry, "complete": seen.is_there}
                for seen in past
            ],
        }
        about = tables.adapter(entry, stored, retired=retired, rules=store.rules)
        show_either(store, as_json, document, about, "", tables.history(past))


@app.command()
def validate(context: typer.Context, source: Source, as_json: AsJson = False) -> None:
    """Check an adapter by the stage's rules, without publishing it.

    Example: python -m loraserve adapters validate samples/adapters/otter
    """
    from loraserve.adapters import check as checking  # noqa: PLC0415

    with told_plainly():
        store = context.obj.open()
        base = checking.read_base(store.stage)
        examined = checking.check(store, source, source, base)
        facts = {
            "source": examined.files.source,
            "revision": examined.revision,
            "sha256": examined.sha256,
            "size": examined.files.weights.size,
            **asdict(examined.facts),
        }
        warn(as_json, base.warning)
        shown = facts | {"size": tables.size(examined.files.weights.size)}
        shown["target_modules"] = ", ".join(examined.facts.target_modules)
        table = tables.facts({key.replace("_", " "): str(value) for key, value in shown.items()})
        show_either(
            store, as_json, {"valid": True, "warning": base.warning, **facts}, "[green]✓[/] valid", table
        )


@app.command(name="publish")
def publish_command(
    context: typer.Context,
    source: Source,
    name: Annotated[str, typer.Option(help="The name to publish it under.", show_default=False)],
    label: Annotated[
        list[str] | None,
        typer.Option(help="key=value, for people; may be repeated. Without any, those it has stay."),
    ] = None,
    sha256: Annotated[str | None, typer.Option(help="What the weights file must hash to, in hex.")] = None,
    as_json: AsJson = False,
) -> None:
    """Check an adapter, bring it into the store, and point a name to it.

    Example: python -m loraserve adapters publish ./my-adapter --name team/summaries --label by=ana

    Of two who publish one name at a time, one is told that the other was first. After Ctrl-C nothing is
    published, and the same command goes on where it stopped.
    """
    from loraserve.adapters import check as checking  # noqa: PLC0415
    from loraserve.adapters import publish as publishing  # noqa: PLC0415

    labels = _labels(label) if label else None
    if sha256 is not None and not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise typer.BadParameter("write the 64 hexadecimal digits of a SHA-256", param_hint="--sha256")
    with told_plainly("nothing is published. The same command goes on where this one stopped"):
        store = context.obj.open()
        publication = publishing.Publication.begin(store, name)
        base = checking.read_base(store.stage)
        examined = checking.check(store, name, source, base, sha256)
        warn(as_json, base.warning)
        with progress_of("uploading", examined.files.weights.size, as_json) as moved:
            publication.transfer(examined, moved)
    with told_plainly(f"the command show {name} says whether it is published"):
        outcome = publication.finish(examined, base, labels)
        tell(store, as_json, outcome, "published", warning=base.warning)


@app.command(name="rollback")
def rollback_command(
    context: typer.Context,
    name: Name,
    to: Annotated[
        str | None, typer.Option(help="The revision; by default the last one that it does not stand for now.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Point a name to a revision that it stood for before, also after it was removed.

    Example: python -m loraserve adapters rollback otter --to 4f1b5a0c6c7d8e9f
    """
    with told_plainly(f"the command show {name} says what it stands for"):
        store = context.obj.open()
        outcome = rollback(store, name, to)
        note = ownership_note(store, outcome.entry) if outcome.changed else None
        tell(store, as_json, outcome, "rolled back", note=note)


@app.command(name="remove")
def remove_command(
    context: typer.Context,
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Unpublish a name. Its files stay for the retention period, so that a rollback brings it back.

    Example: python -m loraserve adapters remove team/summaries --yes
    """
    with told_plainly(f"the command show {name} says whether it is published"):
        store = context.obj.open()
        entry = store.get(name).entry
        if not yes:
            _confirm(f"Unpublish {name}@{entry.revision} from {store.bucket}?")
        removed = remove(store, name)
        note = ownership_note(store, removed, removed=True)
        days = store.stage.config.retention_days
        told = f"[green]✓[/] removed {escape(name)}; its files stay for {days} days"
        document = {"name": name, "removed": removed, "note": note}
        show_either(store, as_json, document, told, Text(note) if note else None)


@app.command(name="verify")
def verify_command(
    context: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]…", help="By default all.")] = None,
    as_json: AsJson = False,
) -> None:
    """Read what is published back, and hold every byte against the registry; exit code 1 if not all is well.

    Example: python -m loraserve adapters verify otter heron
    """
    from loraserve.adapters import check as checking  # noqa: PLC0415

    with told_plainly("nothing was changed"):
        store = context.obj.open()
        for name in names or ():
            store.get(name)
        wanted = list(dict.fromkeys(names)) if names else sorted(store.registry.etags())
        size = size_of(store, wanted)
        base = checking.read_base(store.stage)
        warn(as_json, base.warning)
        with progress_of("reading", size, as_json) as moved:
            found = verify(store, wanted, base.facts, moved)
        bad = len({finding.name for finding in found})
        told = (
            f"[red]✗[/] {bad} of {count_of(len(wanted))} not as published, or not valid"
            if found
            else f"[green]✓[/] {count_of(len(wanted))}, {tables.size(size)}: all as published"
        )
        document = {"checked": len(wanted), "warning": base.warning, "findings": found}
        show_either(store, as_json, document, tables.findings(found) if found else None, told)
        if found:
            raise typer.Exit(1)


@app.command(name="gc")
def gc_command(
    context: typer.Context,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be done.")] = False,
    min_age_hours: Annotated[
        float, typer.Option(min=0, help="Leave alone what is younger: it may be on its way.")
    ] = 24,
    as_json: AsJson = False,
) -> None:
    """Clean up: retire what no name stands for, delete what was retired long ago or never completed.

    Example: python -m loraserve adapters gc --dry-run
    """
    with told_plainly("run it again to go on"):
        store = context.obj.open()
        done = collect(store, min_age=timedelta(hours=min_age_hours), dry_run=dry_run)
        document = {"dry_run": dry_run, "actions": done, "bytes": sum(action.size for action in done)}
        days = store.stage.config.retention_days
        show_either(store, as_json, document, tables.actions(done, days, dry_run=dry_run))


def _labels(labels: list[str]) -> dict[str, str]:
    pairs = [label.partition("=") for label in labels]
    for key, equals, _ in pairs:
        if not (key and equals):
            raise typer.BadParameter("write key=value, e.g. --label by=ana", param_hint="--label")
    return {key: value for key, _, value in pairs}


def _confirm(question: str) -> None:
    if not sys.stdin.isatty():
        raise typer.BadParameter("there is no terminal to ask on; say that you are sure", param_hint="--yes")
    # typer.confirm writes a space to standard output, where --json promises a document and nothing else.
    errors.print(escape(f"{question} [y/N] "), end="")
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise typer.Abort
