"""The environment of checkov: missing packages are listed."""

from loraserve.setup import isolated
from tests.harness.isolated import missing

#: The reasons are in requirements-scan.in.
LEFT_OUT = {"rustworkx": {"numpy"}, "spdx-tools": {"rdflib"}}


def test_checkovs_own_pins_are_kept_and_only_what_was_left_out_is_missing() -> None:
    assert missing(isolated.SCANNER) == LEFT_OUT
