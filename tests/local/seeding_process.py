"""`python -m tests.local.seeding_process`: seeds in separate processes, which a test can kill.

Each line of standard input is a JSON object: bucket, hub, adapters (source by name). The process that seeds
is forked from this one, so that nothing is imported again; its id and then its exit status are answered.
"""

import json
import os
import sys

import boto3

from adapters.source import parse_source
from ingest.hub import Hub
from lambdas.adapter_seeder.desired_state import DesiredAdapter, DesiredState
from lambdas.adapter_seeder.seeder import Seeder
from lambdas.adapter_seeder.served_model import ServedModel
from tests.harness import factories
from tests.harness.store import MADE_RULES


def seed(bucket: str, hub: str, adapters: dict[str, str]) -> None:
    """Run one invocation's seeding."""
    desired = [DesiredAdapter(name, parse_source(source)) for name, source in adapters.items()]
    Seeder(
        boto3.client("s3"),
        bucket,
        owner="stack",
        desired=DesiredState(json.dumps(adapters), desired, removals=0.2),
        rules=MADE_RULES,
        hub=Hub(hub),
        base_model=ServedModel(factories.base_model, revision="0" * 40),
        is_rollback=lambda: False,
    ).run()


def main() -> None:
    """Answer each line until standard input ends."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115 — for the rest of this process
            try:
                seed(**json.loads(line))
            except BaseException as error:
                print(repr(error), file=sys.stderr)
                os._exit(1)
            os._exit(0)
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
