"""Fixtures of more than one folder of tests: one synth of all stages, shared."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from stacks.project import ROOT
from tests.harness.assembly import synth

# jsii runs the first `node` that it finds: the pinned one, whatever else the machine has.
os.environ["PATH"] = f"{ROOT / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"

# A shell starts what runs in its background with Ctrl-C ignored, and so would be all that the tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples in every run, and no verdict on how fast this machine is just now.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")

#: These share one deployed stage, which the last of them destroys.
ON_THE_DEPLOYED_STAGE = (
    "tests/local/test_clients_",
    "tests/local/test_deployed_",
    "tests/local/test_end_to_end",
)
#: What takes longest comes first, so that the workers of `make test` end at about the same time. What the rest
#: of tests/local does is heavy, too, but heeds no clock: it goes beside the deployed stage's engine.
FIRST = (*ON_THE_DEPLOYED_STAGE, "tests/local/test_killed_", "tests/local/test_many_", "tests/local/")


def scope(nodeid: str) -> str:
    """Tests of one scope run one after the other in one worker: those of a file, or of the deployed stage."""
    return "the deployed stage" if nodeid.startswith(ON_THE_DEPLOYED_STAGE) else nodeid.partition("::")[0]


class ByScope(LoadScopeScheduling):
    """Hands whole scopes to the workers, in the order of collection."""

    def _split_scope(self, nodeid: str) -> str:
        return scope(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByScope:
    return ByScope(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put `FIRST` first, if there are several workers."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: [not item.nodeid.startswith(prefix) for prefix in FIRST])


@pytest.fixture(scope="session")
def assembly(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the cloud assembly of `templates`."""
    return tmp_path_factory.mktemp("assembly")


@pytest.fixture(scope="session")
def templates(assembly: Path) -> dict[str, dict[str, Any]]:
    """Every template of every stage."""
    return synth(assembly)
