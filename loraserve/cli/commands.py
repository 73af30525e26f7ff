"""The list of commands, and the application that runs them.

A command is a module with a function `command`, whose docstring is its help. The function imports what it
needs when it runs, so that `--help` stays fast. docs/extending.md has the steps to add one.
"""

from __future__ import annotations

from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from loraserve.cli.adapters.options import store_options
from loraserve.cli.console import report_errors
from loraserve.cli.shared_options import Quiet, Verbose, choose_verbosity, with_shared_options
from loraserve.verbosity import Verbosity, choose

#: Modules of `loraserve.cli`, in the order of `--help`.
COMMANDS = (
    "demo",
    "up",
    "down",
    "invoke",
    "playground",
    "load_test",
    "status",
    "logs",
    "synth",
    "diff",
    "plan",
    "simulate_autoscaling",
    "review",
    "bootstrap",
    "roles",
    "doctor",
    "deploy",
    "promote",
    "rollback",
    "verify",
    "repair",
    "destroy",
    "pin_images",
    "build_images",
    "scan_images",
)
#: Modules of `loraserve.cli.adapters`, in the order of `--help`.
ADAPTER_COMMANDS = (
    "list",
    "show",
    "validate",
    "publish",
    "rollback",
    "remove",
    "verify",
    "lock",
    "compare",
    "gc",
)
#: Modules of `loraserve.cli.release`, in the order of `--help`.
RELEASE_COMMANDS = ("build", "show", "diff", "resume", "unlock")
#: Characters of the longest first sentence.
_SENTENCE = 120


class ReportingCommand(TyperCommand):
    """A command whose errors are reported by `report_errors`."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        with report_errors():
            return super().invoke(ctx)


class WrappingGroup(TyperGroup):
    """A group whose list of commands has whole sentences: a long one goes on in the next line."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list."""
        commands = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        rows = [(name, each.get_short_help_str(_SENTENCE)) for name, each in commands.items() if each]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def _print_version(wanted: bool) -> None:
    if wanted:
        from loraserve.version import version

        typer.echo(f"loraserve {version()}")
        raise typer.Exit


def application_options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Apply the options that stand before the command."""
    choose(Verbosity.NORMAL)
    choose_verbosity(quiet, verbose)


app = typer.Typer(
    cls=WrappingGroup,
    callback=application_options,
    help="""Serve many LoRA adapters from one SageMaker endpoint.

    Exit codes: 0 success; 1 an error or a failed check; 2 an unusable argument, stage file or manifest; \
3 findings of a review, an invalid load test; 130 Ctrl-C.

    Without a terminal, or with NO_COLOR set, the output has no colours. --install-completion adds the \
completion of commands, options and stages to this shell.

    Example: python -m loraserve invoke --adapter otter '[INST] … [/INST]'""",
    no_args_is_help=True,
    rich_markup_mode=None,  # prompts have square brackets, which are markup to rich
)
adapters = typer.Typer(
    help="""List, check, publish and roll back a stage's adapters.

    Example: python -m loraserve adapters --stage dev list""",
    no_args_is_help=True,
    rich_markup_mode=None,
    callback=with_shared_options(store_options),
)
releases = typer.Typer(
    help="""Build, show and compare releases.

    Example: python -m loraserve release show prod""",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def _add(group: typer.Typer, package: str, name: str) -> None:
    module = import_module(f"{package}.{name}")
    settings = getattr(module, "CONTEXT_SETTINGS", None)
    add = group.command(name.replace("_", "-"), cls=ReportingCommand, context_settings=settings)
    add(with_shared_options(module.command, verbosity=settings is None))


for _name in COMMANDS:
    _add(app, "loraserve.cli", _name)
for _name in ADAPTER_COMMANDS:
    _add(adapters, "loraserve.cli.adapters", _name)
for _name in RELEASE_COMMANDS:
    _add(releases, "loraserve.cli.release", _name)
app.add_typer(adapters, name="adapters")
app.add_typer(releases, name="release")
