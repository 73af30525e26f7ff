"""The matrix of stage files, synthesized once under every rule, for all tests of it."""

from pathlib import Path
from typing import NamedTuple

import pytest

from tests.policy.matrix import app
from tests.policy.scanners import Finding, cdk_nag


class Matrix(NamedTuple):
    """A cloud assembly with a stage for each overlay, and the findings of cdk-nag."""

    assembly: Path
    nagging: list[Finding]


@pytest.fixture(scope="session")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> Matrix:
    folder = tmp_path_factory.mktemp("matrix")
    (folder / "stages").mkdir()
    return Matrix(folder / "out", cdk_nag(app(folder / "stages", folder / "out")))
