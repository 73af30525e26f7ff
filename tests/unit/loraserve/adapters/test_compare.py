"""Differences between a registry and the wanted adapters."""

from adapters.store.layout import RegistryEntry, revision_of
from adapters.store.publishing import BY_HAND
from loraserve.adapters.compare import DifferenceKind, registry_differences

ONE, TWO = "1" * 64, "2" * 64


def entry(name: str, digest: str, owner: str = "stack") -> RegistryEntry:
    return RegistryEntry(name, revision_of(digest), digest, 8, 10, "acme/base", "./x", owner=owner)


def test_each_kind_of_difference_is_found_and_equal_names_are_none() -> None:
    entries = [entry("same", ONE), entry("any", ONE), entry("other", ONE), entry("extra", ONE)]
    entries.append(entry("tried", ONE, BY_HAND))
    wanted = {"same": ONE, "any": None, "other": TWO, "missing": TWO}
    found = registry_differences(entries, wanted)
    assert [(one.name, one.kind) for one in found] == [
        ("extra", DifferenceKind.EXTRA),
        ("missing", DifferenceKind.MISSING),
        ("other", DifferenceKind.OTHER),
        ("tried", DifferenceKind.BY_HAND),
    ]
    assert [str(one) for one in found] == [
        f"extra: revision {'1' * 16}, not wanted",
        "missing: not published",
        f"other: revision {'1' * 16}, wanted {'2' * 16}",
        f"tried: revision {'1' * 16}, published by hand",
    ]


def test_a_name_published_by_hand_with_the_wanted_files_is_no_difference() -> None:
    assert registry_differences([entry("a", ONE, BY_HAND)], {"a": ONE}) == []
