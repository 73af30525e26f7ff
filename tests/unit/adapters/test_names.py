import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.errors import InvalidName
from adapters.names import MAX_NAME_LENGTH, NAME_PATTERN, Reference, check_name


@pytest.mark.parametrize("name", ["otter", "team/otter-v2", "a", "0001", "x/y/z_1.2"])
def test_a_plain_name_is_valid(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Otter",
        "/otter",
        "otter/",
        "a//b",
        "-a",
        "a--b",
        "../a",
        "a/../b",
        "s3://bucket/a",
        "a@b",
        "ä",
        "a b",
        "a\n",
    ],
)
def test_a_name_that_could_leave_its_prefix_or_collide_on_disk_is_refused(name: str) -> None:
    with pytest.raises(InvalidName):
        check_name(name)


def test_the_error_names_the_adapter_and_what_would_be_right() -> None:
    with pytest.raises(InvalidName, match=r"'Team A'.*lower-case letters.*team/summaries-v2"):
        check_name("Team A")


def test_a_name_that_would_not_fit_into_a_key_is_refused() -> None:
    check_name("a" * MAX_NAME_LENGTH)
    with pytest.raises(InvalidName, match="201 characters"):
        check_name("a" * (MAX_NAME_LENGTH + 1))


def test_a_reference_may_pin_a_revision() -> None:
    assert Reference.parse("otter") == Reference("otter", None)
    assert Reference.parse("team/otter@0123456789abcdef") == Reference("team/otter", "0123456789abcdef")


@pytest.mark.parametrize(
    "text", ["otter@", "otter@main", "otter@0123456789ABCDEF", "@0123456789abcdef", "a@b@c"]
)
def test_a_reference_to_something_that_is_no_revision_is_refused(text: str) -> None:
    with pytest.raises(InvalidName):
        Reference.parse(text)


@given(st.from_regex(NAME_PATTERN, fullmatch=True))
def test_every_accepted_name_has_a_directory_of_its_own_in_loraxs_cache(name: str) -> None:
    try:
        check_name(name)
    except InvalidName:
        return
    # LoRAX turns / into -- for its cache directory; no part starts with -, so there is one way back.
    assert re.sub("--(?=[a-z0-9])", "/", name.replace("/", "--")) == name
