"""Shares of adapters, of laws and of files."""

from pathlib import Path

import pytest

from loraserve.workload.errors import WorkloadError
from loraserve.workload.popularity import parse_popularity

NAMES = ("a", "team/b", "c")


def test_laws_give_the_first_adapter_the_largest_share() -> None:
    assert parse_popularity("uniform", NAMES) == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    assert parse_popularity("zipf:1", NAMES) == pytest.approx((6 / 11, 3 / 11, 2 / 11))
    # adapter = 3·U²: a share of √(1/3) falls on the first.
    assert parse_popularity("power:0.5", NAMES)[0] == pytest.approx(3**-0.5)
    assert parse_popularity("zipf:1", ()) == ()


def test_a_file_gives_weights_in_any_order(tmp_path: Path) -> None:
    path = tmp_path / "weights.csv"
    path.write_text("# from last week\nteam/b, 3\n\na,1\n")
    assert parse_popularity(str(path), NAMES) == (0.25, 0.75, 0.0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a 1\n", r":1: .*no comma"),
        ("a,1\nx,2\n", r":2: 'x' is not among"),
        ("a,1\na,2\n", r":2: 'a' has two weights"),
        ("a,much\n", r":1: 'much' is no number"),
        ("a,-1\n", r":1: -1 is out of range"),
        ("a,0\n", "above 0"),
        ("", "above 0"),
    ],
)
def test_a_damaged_file_is_named_with_the_line(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "weights.csv"
    path.write_text(content)
    with pytest.raises(WorkloadError, match=message) as refused:
        parse_popularity(str(path), NAMES)
    assert str(path) in str(refused.value)


@pytest.mark.parametrize(
    "text", ["", "zipf", "zipf:", "zipf:-1", "zipf:inf", "power:0", "uniform:1", "absent.csv"]
)
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(WorkloadError, match=r"use uniform|write|give"):
        parse_popularity(text, NAMES)
