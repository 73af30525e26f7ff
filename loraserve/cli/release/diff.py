"""The command `release diff`."""

from __future__ import annotations

import json
from dataclasses import asdict

import typer

from loraserve.cli.options import AsJson, Giving, GivingProfile, Taking, TakingProfile


def command(
    giving: Giving,
    taking: Taking,
    giving_profile: GivingProfile = None,
    taking_profile: TakingProfile = None,
    as_json: AsJson = False,
) -> None:
    """Compare what serves in two stages.

    It lists the commits and adapters that the second stage lacks. Exit code 0 whatever differs.

    Example: python -m loraserve release diff staging prod --taking-profile prod-reader
    """
    from loraserve.adapters.compare import served_differences
    from loraserve.adapters.open_store import open_both_stores
    from loraserve.cli.adapters import tables as adapter_tables
    from loraserve.cli.console import output
    from loraserve.cli.release import tables
    from loraserve.release.ledger import Ledger
    from loraserve.release.record_differences import compared_records
    from loraserve.review.revisions import commits_between

    stores = open_both_stores(giving, taking, giving_profile, taking_profile)
    one, two = (Ledger(store.s3, store.bucket, store.stage.name).current() for store in stores)
    found, adapters = compared_records(one, two), served_differences(*stores)
    missing = commits_between(two.commit, one.commit) if one and two else None
    if as_json:
        document = {
            "giving": giving,
            "taking": taking,
            "fields": [asdict(each) | {"same": each.is_same} for each in found],
            "missing_commits": missing,
            "adapters": [asdict(each) for each in adapters],
        }
        typer.echo(json.dumps(document, indent=1))
        return
    output().print(tables.differences(giving, taking, found), highlight=False)
    if missing is None:
        lacks = "the commits between them are not known here: they are not in this repository"
    else:
        lacks = f"commits that {taking} lacks: {len(missing) or 'none'}"
    output().print(lacks, *(f"  {line}" for line in missing or ()), sep="\n", markup=False, highlight=False)
    if adapters:
        output().print(adapter_tables.served_differences(adapters, giving, taking), highlight=False)
    else:
        output().print("[green]✓[/] both serve the same adapters", highlight=False)
