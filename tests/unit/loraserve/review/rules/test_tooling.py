"""Findings about packages, feature flags and settings."""

from typing import Any

import pytest

from loraserve.review.finding import MAX_TITLE, Level, ReviewFinding
from loraserve.review.rules.tooling import tooling_findings
from loraserve.review.tooling import LockedPackage, Tooling

LOCK = "package-lock.json"
INDEX = "https://registry.npmjs.org/cdk.tgz"


def tools(**changes: Any) -> Tooling:
    return Tooling(**{"packages": {}, "options": {}, "flags": {}, "settings": {}} | changes)


def locked(
    version: str = "1", address: str = "", checksum: str = "sha512-a", is_exact: bool = True
) -> LockedPackage:
    return LockedPackage(version=version, is_exact=is_exact, address=address, checksum=checksum)


def of_package(old: LockedPackage | None, new: LockedPackage | None, **options: bool) -> ReviewFinding:
    """The one finding of a package's change."""
    before, after = (tools(packages={(LOCK, "cdk"): each} if each else {}) for each in (old, new))
    (found,) = tooling_findings(before, after, **options)
    (change,) = found.differences
    assert (change.subject, change.name, found.stage) == ("cdk", LOCK, "")
    return found


def test_equal_tools_give_no_finding() -> None:
    same = tools(packages={(LOCK, "cdk"): locked()}, flags={"a": True}, settings={"app": "python app.py"})
    assert tooling_findings(same, same) == []


@pytest.mark.parametrize(
    ("old", "new", "title"),
    [
        (locked("1"), locked("2", checksum="sha512-b"), "cdk 1 → 2 (package-lock.json)"),
        (locked("1"), locked("2", INDEX, "sha512-b"), "cdk 1 → 2 (package-lock.json)"),
        (None, locked("2"), "cdk none → 2 (package-lock.json)"),
        (locked("1"), None, "cdk 1 → none (package-lock.json)"),
    ],
)
def test_another_version_is_routine(old: LockedPackage | None, new: LockedPackage | None, title: str) -> None:
    found = of_package(old, new)
    assert (found.rule, found.level, found.title) == ("tooling.library", Level.ROUTINE, title)


@pytest.mark.parametrize(
    ("old", "new", "title"),
    [
        (locked(), locked(checksum="sha512-b"), "cdk: the same version with other content"),
        (locked("1"), locked("2", checksum=""), "cdk: no checksum any more"),
        (locked("1"), locked("2", "https://evil.example/cdk.tgz"), "cdk: comes from https://evil.example"),
        (locked("1"), locked("2", "https://registry.npmjs.org@evil.example/x"), "cdk: comes from https://registry.npmjs.org@evil.example"),
        (locked("1"), locked("2", "http://registry.npmjs.org/cdk.tgz"), "cdk: comes from http://registry.npmjs.org"),
        (None, locked("2", "git+ssh://git@host/cdk"), "cdk: comes from git+ssh://git@host"),
        (None, locked("2", "https://[x"), "cdk: comes from https://[x"),
        (locked("1"), locked(">=1", is_exact=False), "cdk: no exact version"),
    ],
)  # fmt: skip
def test_what_no_version_says_is_reviewed(old: LockedPackage | None, new: LockedPackage, title: str) -> None:
    found = of_package(old, new)
    assert (found.rule, found.level, found.title) == ("tooling.source", Level.REVIEW, title)


def test_with_the_heads_packages_on_both_sides_a_version_is_reviewed() -> None:
    found = of_package(locked("1"), locked("2", checksum="sha512-b"), same_packages=True)
    assert (found.rule, found.level) == ("tooling.library", Level.REVIEW)
    assert "does not show" in found.consequence


def test_many_packages_are_one_finding_for_each_reason() -> None:
    names = [f"package-{number}" for number in range(30)]
    before = tools(packages={(LOCK, name): locked("1") for name in names})
    after = tools(packages={(LOCK, name): locked("2", checksum="sha512-b") for name in names})
    mirror = tools(packages={(LOCK, name): locked("2", "https://mirror.example/x") for name in names})
    (found,) = tooling_findings(before, after)
    assert found.title.startswith("30 packages change: package-0 1 → 2 (package-lock.json); ")
    assert len(found.title) == MAX_TITLE
    assert len(found.details) == len(found.differences) == 30
    (found,) = tooling_findings(before, mirror)
    assert found.title == "30 packages: comes from https://mirror.example"


def test_flags_are_routine_and_compared_strictly() -> None:
    (found,) = tooling_findings(tools(flags={"a": True, "b": 1}), tools(flags={"a": 1, "b": 1}))
    assert (found.rule, found.level, found.title) == ("tooling.flags", Level.ROUTINE, "a True → 1 (cdk.json)")
    (found,) = tooling_findings(tools(flags={"a": True}), tools(flags={"b": True}))
    assert found.title == "2 feature flags of cdk.json change"
    assert found.details == ("b none → True (cdk.json)", "a True → none (cdk.json)")


@pytest.mark.parametrize(
    ("key", "level"), [("requireApproval", Level.REVIEW), ("app", Level.REVIEW), ("watch", Level.ROUTINE)]
)
def test_a_setting_of_the_cli_is_reviewed_unless_it_has_no_effect(key: str, level: Level) -> None:
    (found,) = tooling_findings(tools(), tools(settings={key: "never"}))
    assert (found.rule, found.level) == ("tooling.settings", level)
    assert found.title == f"the setting {key} of cdk.json changes"


def test_an_index_of_packages_is_reviewed() -> None:
    option = {("requirements.txt", "--extra-index-url"): "--extra-index-url https://evil.example"}
    (found,) = tooling_findings(tools(), tools(options=option))
    assert (found.rule, found.level) == ("tooling.source", Level.REVIEW)
    assert found.title == "pip's option --extra-index-url changes in requirements.txt"
    assert found.details == (
        "--extra-index-url none → --extra-index-url https://evil.example (requirements.txt)",
    )


def test_a_difference_has_the_file_a_setting_and_a_flag_of_one_name_differ() -> None:
    findings = tooling_findings(tools(), tools(flags={"app": 1}, settings={"app": 1}))
    differences = {each for found in findings for each in found.differences}
    assert {(each.subject, each.name) for each in differences} == {
        ("app", "cdk.json"),
        ("setting app", "cdk.json"),
    }
