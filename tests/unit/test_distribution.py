"""`make test` hands the tests to several workers by scope."""

import pytest

from tests.conftest import scope


def test_a_scope_is_a_file_and_what_shares_deployed_stage_is_one() -> None:
    assert (
        scope("tests/unit/samples/test_samples.py::TestIt::test_that[a::b]")
        == "tests/unit/samples/test_samples.py"
    )
    stage = {scope(f"tests/local/test_{file}.py::test_it") for file in ("clients_boto3", "end_to_end")}
    assert stage == {"the deployed stage"}


def test_whatever_uses_the_deployed_stage_is_in_its_scope(request: pytest.FixtureRequest) -> None:
    """Elsewhere it would deploy the stage once more. Sees all tests in a run of all tests."""
    # A file's own stage of that name is not in the laptop cloud that is shared.
    users = [
        item.nodeid
        for item in request.session.items
        if {"deployed", "laptop"} <= set(getattr(item, "fixturenames", ()))
    ]
    assert [nodeid for nodeid in users if scope(nodeid) != "the deployed stage"] == []
