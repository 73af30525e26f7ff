"""The whole way by the workflow files: `python -m tests.local.long.promotion.workflows`, with its times.

Three accounts get a release each way by hand first, until every stage has one. Then a commit that changes the
image is pushed: act runs release.yml with the real commands, under load on prod. rollback.yml brings the
release before back, and the next push is refused, because prod is held. The engine computes nothing; with
`--vllm` it is vLLM's CPU build.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.harness.act import WorkflowRun
from tests.harness.github import github_double
from tests.harness.promotion import ACCOUNTS, Promotion, promotion
from tests.harness.promotion_workflows import RUN, PromotionWorkflows
from tests.local.long.promotion.load import StageCallers, VllmCallers, served_revisions


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Print the seconds of a block."""
    started = time.monotonic()
    yield
    print(f"{what}: {time.monotonic() - started:.0f} s", flush=True)


def record(made: Promotion, stage: str) -> dict[str, object]:
    """Return the record of what serves."""
    bucket = made.outputs(stage)["AdapterBucket"]
    answer = made.client(stage, "s3").get_object(Bucket=bucket, Key="releases/current.json")
    found: dict[str, object] = json.loads(answer["Body"].read())
    return found


def require(run: WorkflowRun, *, succeeds: bool = True) -> None:
    """End with the run's log if it did not end as expected."""
    if run.succeeded is not succeeds:
        sys.exit(f"{run.log}\nthe run should have {'succeeded' if succeeds else 'failed'}")


def main(folder: Path, *, with_vllm: bool) -> None:
    """Run everything; prints times and records."""
    callers_of = VllmCallers if with_vllm else StageCallers
    with promotion(folder, with_vllm=with_vllm) as made, github_double() as github:
        with timed("accounts"):
            made.prepare_accounts()
        with timed("a release in every stage, by hand"):
            first = made.release("first")
            made.promote("dev", first)
            made.lock("dev", "staging")
            second = made.release("second")
            for stage in ("dev", "staging"):
                made.promote(stage, second)
            made.lock("staging", "prod")
            third = made.release("third")
            for stage in ACCOUNTS:
                made.promote(stage, third)
        (made.clone / "container" / "vllm" / "changed").write_text("another image")
        made.commit("Another image")
        github.approvals[RUN] = [
            {"state": "approved", "environments": [{"name": "prod"}], "user": {"login": "octocat"}}
        ]
        workflows = PromotionWorkflows(made, github, folder / "act")
        with callers_of(made, "prod", served_revisions(made, "prod")) as callers:
            with timed("release.yml"):
                require(workflows.release(SOAK="0", BAKE="0"))
            after = {stage: record(made, stage) for stage in ACCOUNTS}
            with timed("rollback.yml"):
                require(workflows.roll_back("prod", 'the test: it\'s "odd" $(false)'))
        print(f"answers: {callers.answers}; lost: {callers.lost}; wrong: {callers.wrong}")
        for stage, found in after.items():
            keys = ("release", "outcome", "tar_sha256", "image_digest", "approved_by", "run")
            print(stage, {key: found[key] for key in keys})
        print("prod, rolled back:", {key: record(made, "prod")[key] for key in ("release", "kind", "reason")})
        assert len({found["tar_sha256"] for found in after.values()}) == 1
        assert len({found["image_digest"] for found in after.values()}) == 1
        assert after["prod"]["approved_by"] == "octocat"
        assert len(made.builds()) == 2
        assert not callers.lost and not callers.wrong
        (made.clone / "container" / "vllm" / "changed").write_text("a third image")
        made.commit("A third image")
        with timed("release.yml, while prod is held"):
            held = workflows.release(SOAK="0", BAKE="0")
        require(held, succeeds=False)
        assert "prod is held since" in held.log
        assert record(made, "staging")["release"] != record(made, "prod")["release"]
        print("the next push is refused: prod is held")


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--vllm", action="store_true", help="serve with vLLM's CPU build")
    with TemporaryDirectory(prefix="promotion-") as made_folder:
        main(Path(made_folder), with_vllm=options.parse_args().vllm)
