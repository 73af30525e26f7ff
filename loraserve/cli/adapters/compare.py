"""The command `adapters compare`."""

from __future__ import annotations

import typer

from loraserve.cli.options import AsJson, Giving, GivingProfile, Taking, TakingProfile


def command(
    giving: Giving,
    taking: Taking,
    giving_profile: GivingProfile = None,
    taking_profile: TakingProfile = None,
    as_json: AsJson = False,
) -> None:
    """Compare the adapters of two stages.

    Exit code 1 if they differ in a way that the manifest of the second one does not declare.

    Example: python -m loraserve adapters compare staging prod --taking-profile prod-reader
    """
    from loraserve.adapters.compare import served_differences
    from loraserve.adapters.open_store import open_both_stores
    from loraserve.cli.adapters import tables
    from loraserve.cli.console import output

    first, second = open_both_stores(giving, taking, giving_profile, taking_profile)
    found = served_differences(first, second)
    undeclared = [difference for difference in found if not difference.is_declared]
    if as_json:
        names = {"giving": first.stage.name, "taking": second.stage.name}
        typer.echo(tables.to_json(names | {"differences": found, "undeclared": len(undeclared)}))
    elif found:
        output().print(tables.served_differences(found, first.stage.name, second.stage.name), highlight=False)
    else:
        output().print("[green]✓[/] both serve the same revisions", highlight=False)
    if undeclared:
        raise typer.Exit(1)
