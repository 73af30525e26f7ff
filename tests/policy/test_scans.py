"""Three third-party scanners find nothing in any stage except the acknowledged findings."""

import pytest

from tests.policy.acknowledged import ACKNOWLEDGED, Acknowledged
from tests.policy.conftest import Matrix
from tests.policy.scanners import Finding, cfn_lint, checkov


@pytest.fixture(scope="module")
def findings(matrix: Matrix, tmp_path_factory: pytest.TempPathFactory) -> list[Finding]:
    home = tmp_path_factory.mktemp("home")
    return [*matrix.nagging, *cfn_lint(matrix.assembly), *checkov(matrix.assembly, home)]


@pytest.mark.parametrize("scanner", ["cdk-nag", "cfn-lint", "checkov"])
def test_whatever_is_found_is_acknowledged_with_a_reason(findings: list[Finding], scanner: str) -> None:
    found = [finding for finding in findings if finding.scanner == scanner]
    open_ = [f for f in found if not any(entry.covers(f) for entry in ACKNOWLEDGED)]
    reported = [f"{f.rule} at {f.construct}: {f.text}" for f in open_]
    assert reported == [], "correct it, or add it to tests/policy/acknowledged.py with the reason"


@pytest.mark.parametrize("entry", ACKNOWLEDGED, ids=lambda entry: f"{entry.scanner} {entry.rules[0]}")
def test_each_part_of_an_entry_is_still_needed(findings: list[Finding], entry: Acknowledged) -> None:
    covered = [finding for finding in findings if entry.covers(finding)]
    assert {finding.rule for finding in covered} == set(entry.rules)
    for construct in entry.constructs:
        narrow = Acknowledged(entry.scanner, entry.rules, (construct,), entry.reason)
        assert any(narrow.covers(finding) for finding in findings), f"no finding at {construct}"


def test_no_finding_has_two_reasons(findings: list[Finding]) -> None:
    assert [f for f in findings if sum(entry.covers(f) for entry in ACKNOWLEDGED) > 1] == []
