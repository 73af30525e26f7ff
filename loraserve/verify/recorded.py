"""Expected state of a stage by its record: the release that serves, and the digest of its image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from loraserve.aws import Client
from loraserve.release.ledger import LedgerError, open_ledger
from loraserve.release.opened import open_stored_release
from loraserve.release.record import DeploymentRecord
from loraserve.release.release import ReleaseError
from loraserve.verify.expected import Expected, expected_of_release, expected_of_stacks
from stacks.config.stage_target import StageTarget


def expected_of_record(target: StageTarget, client: Client, say: Callable[[str], None]) -> Expected:
    """Expect the release of the current record, or the deployed stacks after a deployment by hand.

    `say` gets the reason for which the record's release is not compared. Raises `NotDeployed`.
    """
    ledger = open_ledger(target, client)
    try:
        record = None if ledger is None else ledger.current()
        if ledger is not None and record is not None and record.release is not None:
            with open_stored_release(ledger, record.release) as opened:
                return with_image(expected_of_release(opened, target.name), record)
    except (LedgerError, ReleaseError) as error:
        say(f"compared with the deployed stacks only: {error}")
        record = None
    return with_image(expected_of_stacks(target, client), record)


def with_image(expected: Expected, record: DeploymentRecord | None) -> Expected:
    """Add the image's digest of the deployment's record, if the record is of what is expected."""
    if expected.image_digest is not None or record is None or record.release != expected.release:
        return expected
    return replace(expected, image_digest=record.image_digest)
