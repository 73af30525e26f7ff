"""Gate, reports and exit code of a scan."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from rich.console import Console

from loraserve.images.scan import scan as scan_module
from loraserve.images.scan.allowed import FILE, AllowedVulnerability, read_allowed
from loraserve.images.scan.contents import ImageContents, NotScanned, read_contents
from loraserve.images.scan.pip_audit import PROJECT
from loraserve.images.scan.report import document, summary, table
from loraserve.images.scan.scan import Gate, ImageScan, exit_code, scan_image
from loraserve.images.scan.vulnerability import ScannerResult, Severity, Vulnerability
from stacks.project import ROOT
from stacks.typed_yaml import ConfigError
from tests.unit.loraserve.images.scan.saved_image import store

TODAY = date(2026, 11, 27)
GATE = Gate(Severity.HIGH, (), TODAY)


def vulnerability(package: str, severity: Severity, id: str = "CVE-1") -> Vulnerability:
    contents = read_contents(store(), "image:1", "base:1")
    [found] = [found for found in contents.packages if found.name == package]
    layer = contents.packages[found]
    return Vulnerability(id, severity, None, found, contents.is_added(layer), contents.image.diff_ids[layer])


class Scanner:
    """A scanner with a given answer."""

    name = "grype"

    def __init__(self, found: Sequence[Vulnerability] = (), problem: str | None = None) -> None:
        self._found, self._problem = found, problem

    def program(self) -> str | None:
        return "/usr/bin/grype"

    def scan(self, contents: ImageContents, sbom: str) -> ScannerResult:
        if self._problem is not None:
            raise NotScanned(self._problem)
        return ScannerResult("grype 0.100.0", "database of 2026-11-26", tuple(self._found))


def scan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scanner: Scanner) -> ImageScan:
    monkeypatch.setattr(scan_module, "SCANNERS", (scanner,))
    return scan_image("vllm", store(), None, image="image:1", base="base:1", output=tmp_path / "out")


@pytest.mark.parametrize(
    ("package", "severity", "counts"),
    [
        ("urllib3", Severity.CRITICAL, True),
        ("urllib3", Severity.HIGH, True),
        ("urllib3", Severity.MEDIUM, False),
        ("urllib3", Severity.UNKNOWN, True),
        ("libc6", Severity.CRITICAL, False),
    ],
)
def test_what_counts_is_severe_and_in_a_package_that_the_project_adds(
    package: str, severity: Severity, counts: bool
) -> None:
    assert GATE.counts(vulnerability(package, severity)) is counts


def test_a_severity_that_is_not_known_is_unknown() -> None:
    assert [Severity.read(text) for text in ("Negligible", "HIGH", "", None, "moderate")] == [
        *(Severity.NEGLIGIBLE, Severity.HIGH, Severity.UNKNOWN, Severity.UNKNOWN, Severity.UNKNOWN)
    ]


def test_an_allowed_vulnerability_counts_again_after_its_date() -> None:
    entry = AllowedVulnerability(id="CVE-1", package="urllib3", reason="not reachable", until=TODAY)
    found = vulnerability("urllib3", Severity.HIGH)
    gate = replace(GATE, allowed=[entry])
    assert not gate.counts(found)
    assert replace(gate, today=date(2026, 11, 28)).counts(found)
    assert gate.counts(vulnerability("urllib3", Severity.HIGH, "CVE-2"))
    assert gate.counts(vulnerability(PROJECT, Severity.HIGH))


def test_the_committed_file_of_allowed_vulnerabilities_can_be_read(tmp_path: Path) -> None:
    assert read_allowed(FILE) == []
    file = tmp_path / "allowed.yaml"
    file.write_text("allowed:\n- {id: CVE-1, package: urllib3, reason: not reachable, until: 2027-01-31}\n")
    assert read_allowed(file)[0].until == date(2027, 1, 31)
    file.write_text("allowed:\n- {id: CVE-1, package: urllib3, until: 2027-01-31}\n")
    with pytest.raises(ConfigError, match=r"allowed\[item 1\]\.reason: missing"):
        read_allowed(file)


def test_the_project_is_known_by_its_name() -> None:
    assert f'\nname = "{PROJECT}"\n' in (ROOT / "pyproject.toml").read_text()


def test_a_scan_lists_ours_first_and_the_most_severe_before_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [
        vulnerability("libc6", Severity.CRITICAL),
        vulnerability("urllib3", Severity.LOW, "CVE-3"),
        vulnerability("urllib3", Severity.HIGH, "CVE-2"),
        vulnerability("urllib3", Severity.HIGH, "CVE-2"),
    ]
    done = scan(tmp_path, monkeypatch, Scanner(found))
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(table(done, GATE, base_too=False))
    assert [line.split() for line in console.export_text().splitlines()[1:]] == [
        ["high", "CVE-2", "urllib3", "2.8.0", "no", "fix", "project", "yes"],
        ["low", "CVE-3", "urllib3", "2.8.0", "no", "fix", "project", "no"],
    ]
    assert table(done, GATE, base_too=True).row_count == 3
    assert summary(done, GATE) == (
        "vllm: 2 packages added, 3 of the base; grype 0.100.0, database of 2026-11-26; vulnerabilities that count: 1; "
        "of the base: 1 critical"
    )
    assert exit_code([done], GATE) == 1


def test_a_document_has_each_vulnerability_with_its_layer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = scan(tmp_path, monkeypatch, Scanner([vulnerability("libc6", Severity.CRITICAL)]))
    [image] = json.loads(document([done], GATE))["images"]
    assert image["scanned"] is True
    assert Path(image["sbom"]).read_text().startswith("{")
    assert image["packages"] == {"all": 5, "added": 2}
    [found] = image["vulnerabilities"]
    assert (found["id"], found["severity"], found["from"], found["counts"]) == (
        "CVE-1",
        "critical",
        "base",
        False,
    )
    assert found["layer"] == store().diff_ids("base:1")[0]
    assert exit_code([done], GATE) == 0


def test_an_image_that_was_not_scanned_is_never_a_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = scan(tmp_path, monkeypatch, Scanner(problem="no database"))
    clean = scan(tmp_path, monkeypatch, Scanner())
    vulnerable = scan(tmp_path, monkeypatch, Scanner([vulnerability("urllib3", Severity.HIGH)]))
    assert exit_code([clean], GATE) == 0
    assert exit_code([clean, failed], GATE) == 3
    assert exit_code([vulnerable, failed], GATE) == 3
    assert failed.sbom.exists()
    assert summary(failed, GATE) == "vllm: 2 packages added, 3 of the base; not scanned: no database"
    [image] = json.loads(document([failed], GATE))["images"]
    assert (image["scanned"], image["problem"], image["vulnerabilities"]) == (False, "no database", [])
