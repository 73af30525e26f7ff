"""Fixtures of more than one folder of tests: one synth of all stages, shared."""

import functools
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from botocore.loaders import JSONFileLoader
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from stacks.project import ROOT
from tests.harness.assembly import synth

# jsii runs the first `node` on PATH: it must be the pinned one.
os.environ["PATH"] = f"{ROOT / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"

# A shell starts background jobs with SIGINT ignored; all processes that the tests start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Each new session would parse the model of each service again, which takes 0.1 to 0.5 s.
_parsed_model = functools.cache(functools.partial(JSONFileLoader.load_file, JSONFileLoader()))
JSONFileLoader.load_file = lambda _, path: _parsed_model(path)  # type: ignore[method-assign]

# The same examples in every run, and no deadline that a busy machine would miss.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")

#: Test files that share one deployed stage, which the last of them destroys.
ON_THE_DEPLOYED_STAGE = (
    "tests/local/test_clients_",
    "tests/local/test_deployed_",
    "tests/local/test_end_to_end",
)
#: Longest tests first, so that the workers of `make test` end at about the same time. The other tests of
#: tests/local and tests/models use much processor time as well, but have no time limits: they run beside the
#: deployed stage.
FIRST = (
    *ON_THE_DEPLOYED_STAGE,
    *("tests/local/long/", "tests/local/", "tests/models/"),
)


def scope(nodeid: str) -> str:
    """Return a test's scope, its file or the deployed stage; one worker runs all tests of a scope."""
    return "the deployed stage" if nodeid.startswith(ON_THE_DEPLOYED_STAGE) else nodeid.partition("::")[0]


class ByScope(LoadScopeScheduling):
    """Scheduler that assigns whole scopes to the workers, in the order of collection."""

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
    """All templates of all stages."""
    return synth(assembly)
