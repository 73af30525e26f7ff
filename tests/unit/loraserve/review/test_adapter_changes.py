"""Two packed manifests compared, name by name."""

import pytest

from loraserve.review.adapter_changes import AdapterChange, What, changes_between, is_pinned
from stacks.facts import PackedAdapterFacts

COMMIT, OTHER, DIGEST = "a" * 40, "b" * 40, "c" * 64


def entry(
    *names: str,
    source: str = f"hf://org/one@{COMMIT}",
    sha256: str | None = None,
    digest: str | None = None,
    **labels: str,
) -> PackedAdapterFacts:
    return PackedAdapterFacts(names=names, source=source, sha256=sha256, digest=digest, labels=labels)


SOURCE = f"s3://dev/adapters/one/{DIGEST[:16]}/"


def locked(bucket: str, digest: str = DIGEST) -> PackedAdapterFacts:
    return entry("one", source=f"s3://{bucket}/adapters/one/{digest[:16]}/", digest=digest)


def kinds(changes: list[AdapterChange]) -> dict[str, What]:
    return {each.name: each.what for each in changes}


def test_equal_manifests_have_no_changes_in_any_order() -> None:
    one, two = entry("one"), entry("two")
    assert changes_between([one, two], [two, one]) == []


def test_a_digest_says_nothing_new_of_a_packed_directory() -> None:
    """Older facts have none, and the directory's source is one."""
    packed = entry("one", source=f"asset://{DIGEST}/", sha256=DIGEST)
    assert changes_between([packed], [packed.model_copy(update={"digest": DIGEST})]) == []


def test_names_come_and_go() -> None:
    two = entry("two", source=f"hf://org/two@{COMMIT}")
    assert kinds(changes_between([entry("one")], [two])) == {"one": What.REMOVED, "two": What.ADDED}


def test_a_new_name_of_equal_content_is_a_renamed_one() -> None:
    [change] = changes_between([entry("one")], [entry("uno")])
    assert (change.what, change.before, change.after) == (What.RENAMED, "one", "uno")


def test_each_name_is_renamed_once() -> None:
    found = changes_between([entry("one"), entry("two")], [entry("uno"), entry("three"), entry("four")])
    assert sorted(each.what.value for each in found) == ["added", "renamed", "renamed"]


def test_copies_are_counted_by_name() -> None:
    few, many = entry("x-0001", "x-0002"), entry("x-0001", "x-0002", "x-0003")
    assert kinds(changes_between([few], [many])) == {"x-0003": What.ADDED}
    assert kinds(changes_between([many], [few])) == {"x-0003": What.REMOVED}


@pytest.mark.parametrize(
    ("before", "after", "what", "unpinned"),
    [
        (entry("one"), entry("one", source=f"hf://org/one@{OTHER}"), What.SOURCE, False),
        (entry("one"), entry("one", source="hf://org/one@main"), What.SOURCE, True),
        (entry("one", source="hf://org/one@main"), entry("one"), What.SOURCE, False),
        (entry("one", sha256=DIGEST), entry("one"), What.CHECKSUM, True),
        (entry("one"), entry("one", sha256=DIGEST), What.CHECKSUM, False),
        (entry("one", sha256=DIGEST), entry("one", source=f"hf://org/one@{OTHER}"), What.SOURCE, True),
        (locked("dev"), locked("staging"), What.MOVED, False),
        (locked("dev"), locked("dev", "d" * 64), What.SOURCE, False),
        (locked("dev"), entry("one", source=SOURCE), What.CHECKSUM, True),
        (entry("one"), locked("dev"), What.SOURCE, False),
        (entry("one"), entry("one", digest=DIGEST), What.CHECKSUM, False),
        (entry("one"), entry("one", team="x"), What.LABELS, False),
        (entry("one"), entry("one", tenant="acme"), What.TENANT, False),
        (entry("one"), entry("one", pinned="true"), What.PINNED, False),
        (entry("one"), entry("one").model_copy(update={"limits": {"priority": 2}}), What.LIMITS, False),
        (
            entry("one").model_copy(update={"tenant_limits": {"max_concurrent": 4}}),
            entry("one"),
            What.TENANT_LIMITS,
            False,
        ),
        (entry("one"), entry("one", source="s3://bucket/prefix/"), What.SOURCE, True),
    ],
)
def test_an_entry_changes(
    before: PackedAdapterFacts, after: PackedAdapterFacts, what: What, unpinned: bool
) -> None:
    [change] = changes_between([before], [after])
    assert (change.what, change.unpinned) == (what, unpinned)


def test_many_copies_are_compared_in_no_time() -> None:
    old = entry(*(f"x-{number:04d}" for number in range(9999)))
    new = entry(*(f"y-{number:04d}" for number in range(9999)))
    assert {each.what for each in changes_between([old], [new])} == {What.RENAMED}


def test_sources_are_pinned_by_commit_digest_or_content() -> None:
    assert is_pinned(entry("one"))
    assert is_pinned(entry("one", source=f"asset://{DIGEST}/"))
    assert is_pinned(entry("one", source="s3://bucket/prefix/", sha256=DIGEST))
    assert not is_pinned(entry("one", source="s3://bucket/prefix/"))
    assert not is_pinned(entry("one", source="hf://org/one@main"))
