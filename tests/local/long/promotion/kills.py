"""Promotions that are killed at random points and run again: python -m tests.local.long.promotion.kills [POINTS] [SEED]

The stage dev gets one changed release after another, under load. Each promotion is killed a few times at
random points, then run to its end: then the release serves, verified, with exactly one record; no request was
lost, and no answer was wrong. Printed are the points, and what the next run did.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from loraserve.release.release import read_release
from tests.harness.promotion import Promotion, promotion
from tests.local.long.promotion.load import StageCallers, served_revisions
from tests.local.long.promotion.records import current, records

#: Kills of one promotion before it runs to its end.
KILLS_A_RELEASE = 4
#: Lines that a promotion with another image prints until the endpoint is updated, and the longest wait after.
LINES, PAUSE_S = 90, 6.0
_POLL_S = 0.02


@dataclass(frozen=True)
class Kill:
    """A killed run."""

    lines: int
    """Lines that it had printed, the CDK CLI's among them."""
    said: str
    """The last of them."""
    with_children: bool
    """The machine died: the CDK CLI with the command. Otherwise the CLI goes on until it writes."""
    ended: bool
    """It ended before it was killed."""


def kill_promotion(made: Promotion, release: Path, point: int, pause: float, *, with_children: bool) -> Kill:
    """Start the promotion of dev; kill it some seconds after it has printed a number of lines.

    A machine's speed does not move the point.
    """
    log = made.folder / "killed.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            made.command(*made.promotion_of("dev", release)),
            cwd=made.clone,
            env=made.environment("dev", PYTHONUNBUFFERED="1"),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    while process.poll() is None and log.read_bytes().count(b"\n") < point:
        time.sleep(_POLL_S)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(pause)
    ended = process.poll() is not None
    if not ended:
        # The CDK CLI is in a separate process group.
        children = psutil.Process(process.pid).children(recursive=True) if with_children else []
        os.killpg(process.pid, signal.SIGKILL)
        for child in children:
            if child.is_running():
                child.kill()
        process.wait()
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return Kill(len(lines), lines[-1] if lines else "", with_children, ended)


def kill_and_go_on(made: Promotion, release: Path, kills: int, points: random.Random) -> Iterator[Kill]:
    """Kill the promotion of dev some times, then run it to its end; yield the kills."""
    for _ in range(kills):
        point, pause = points.randint(0, LINES), points.uniform(0, PAUSE_S)
        killed = kill_promotion(made, release, point, pause, with_children=points.random() < 0.5)
        yield killed
        if killed.ended:
            break
    made.promote("dev", release)


def change(made: Promotion, number: int) -> Path:
    """Commit another image and build its release."""
    (made.clone / "container" / "vllm" / "changed").write_text(f"image {number}")
    made.commit(f"Image {number}")
    return made.release(f"killed-{number}")


def check(made: Promotion, release: Path, callers: StageCallers) -> None:
    """Raise `AssertionError` unless the release serves, with one record, and no caller lost anything."""
    now = current(made, "dev")
    assert (now.outcome, now.release) == ("verified", release_id(release)), now
    of_release = [each for each in records(made, "dev") if each.release == now.release]
    assert len(of_release) == 1, of_release
    assert now.image_digest == made.image_digest("dev")
    assert (callers.lost, callers.wrong) == ([], [])


def release_id(release: Path) -> str:
    """Return the id of a release in a folder."""
    return read_release(release / "release.json").release


def main(count: int, seed: int) -> int:
    """Kill promotions at `count` points; return the exit status."""
    points = random.Random(seed)
    print(f"seed {seed}", flush=True)
    with promotion(Path(tempfile.mkdtemp(prefix="promotion-kills-"))) as made:
        made.prepare_accounts()
        made.promote("dev", made.release("first"))
        done, number = 0, 0
        while done < count:
            number += 1
            release = change(made, number)
            with StageCallers(made, "dev", served_revisions(made, "dev")) as callers:
                kills = min(KILLS_A_RELEASE, count - done)
                for killed in kill_and_go_on(made, release, kills, points):
                    done += not killed.ended
                    print(f"{done:3} release {number}: {killed}", flush=True)
            check(made, release, callers)
            print(f"    release {number} serves; {sum(callers.answers.values())} right answers", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(*(int(given) for given in [*sys.argv[1:], "20", "1"][:2])))
