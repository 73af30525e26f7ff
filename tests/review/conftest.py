"""Both sides of each change of the corpus, synthesized once, and their reviews."""

from collections.abc import Mapping

import pytest

from loraserve.review.assembly import CloudAssembly
from loraserve.review.finding import ReviewFinding
from tests.review.changes import corpus
from tests.review.synthesis import Workshop, reviewed

Sides = tuple[CloudAssembly, CloudAssembly]


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(tmp_path_factory.mktemp("review"))


@pytest.fixture(scope="session")
def sides(workshop: Workshop) -> Mapping[str, Sides]:
    """Both sides by the change's name."""
    return {change.name: workshop.sides(change) for change in corpus()}


@pytest.fixture(scope="session")
def reviews(sides: Mapping[str, Sides]) -> Mapping[str, list[ReviewFinding]]:
    """Findings by the change's name."""
    return dict(zip(sides, reviewed(sides.values()), strict=True))
