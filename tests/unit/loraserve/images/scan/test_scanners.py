"""The three scanners: their commands and their answers.

The documents have the shape of Grype's JSON presenter (anchore/grype, grype/presenter/models, July 2026), of
Trivy's JSON report (aquasecurity/trivy, integration/testdata/debian-buster.json.golden, August 2026), of
`grype` and `trivy` without a database, and of pip-audit 2.10.1's own output.
"""

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from loraserve.images.scan import pip_audit
from loraserve.images.scan.contents import ImageContents, NotScanned, read_contents
from loraserve.images.scan.grype import Grype
from loraserve.images.scan.pip_audit import PipAudit
from loraserve.images.scan.sbom import sbom_text
from loraserve.images.scan.scan import SCANNERS, find_scanner
from loraserve.images.scan.trivy import Trivy
from loraserve.images.scan.vulnerability import ScannerResult, Severity
from tests.unit.loraserve.images.scan.saved_image import layer, store

GRYPE: dict[str, Any] = {
    "matches": [
        {
            "vulnerability": {
                "id": "GHSA-34jh-p97f-mpxf",
                "severity": "Medium",
                "fix": {"versions": ["2.8.1"], "state": "fixed"},
            },
            "artifact": {"name": "urllib3", "version": "2.8.0", "purl": "pkg:pypi/urllib3@2.8.0"},
        },
        {
            "vulnerability": {
                "id": "CVE-2024-33599",
                "severity": "High",
                "fix": {"versions": [], "state": ""},
            },
            "artifact": {
                "name": "libc6",
                "version": "2.36-9+b1",
                "purl": "pkg:deb/debian/libc6@2.36-9%2Bb1?arch=amd64&distro=debian-12&upstream=glibc%402.36-9",
            },
        },
    ],
    "distro": {"name": "debian", "version": "12", "idLike": []},
    "descriptor": {
        "name": "grype",
        "version": "0.100.0",
        "db": {"status": {"schemaVersion": "v6.1.0", "built": "2026-11-26T06:14:28Z", "valid": True}},
    },
}
PACKAGES = [
    {"Name": name, "Version": version, "Identifier": {"PURL": purl, "UID": "0"}}
    for name, version, purl in (
        ("libc6", "2.36-9+b1", "pkg:deb/debian/libc6@2.36-9%2Bb1?arch=amd64&distro=debian-12"),
        (
            "login",
            "1:4.13+dfsg1-1",
            "pkg:deb/debian/login@4.13%2Bdfsg1-1?arch=amd64&distro=debian-12&epoch=1",
        ),
        ("pip", "23.0.1", "pkg:pypi/pip@23.0.1"),
        ("urllib3", "2.8.0", "pkg:pypi/urllib3@2.8.0"),
        ("lora-serving-sagemaker", "0.1.0", "pkg:pypi/lora-serving-sagemaker@0.1.0"),
    )
]
TRIVY: dict[str, Any] = {
    "SchemaVersion": 2,
    "ArtifactName": "image.cdx.json",
    "ArtifactType": "cyclonedx",
    "Metadata": {"OS": {"Family": "debian", "Name": "12"}},
    "Results": [
        {
            "Target": "image.cdx.json (debian 12)",
            "Class": "os-pkgs",
            "Type": "debian",
            "Packages": PACKAGES[:2],
            "Vulnerabilities": [
                {
                    "VulnerabilityID": "CVE-2024-33599",
                    "PkgName": "libc6",
                    "PkgIdentifier": PACKAGES[0]["Identifier"],
                    "InstalledVersion": "2.36-9+b1",
                    "FixedVersion": "2.36-9+deb12u7",
                    "Status": "fixed",
                    "Severity": "HIGH",
                }
            ],
        },
        {
            "Target": "Python",
            "Class": "lang-pkgs",
            "Type": "python-pkg",
            "Packages": PACKAGES[2:],
            "Vulnerabilities": [
                {
                    "VulnerabilityID": "CVE-2024-37891",
                    "PkgName": "urllib3",
                    "PkgIdentifier": PACKAGES[3]["Identifier"],
                    "InstalledVersion": "2.8.0",
                    "FixedVersion": "2.8.1",
                    "Status": "fixed",
                    "Severity": "MEDIUM",
                }
            ],
        },
    ],
}
TRIVY_VERSION = {
    "Version": "0.70.0",
    "VulnerabilityDB": {"Version": 2, "UpdatedAt": "2026-11-26T06:14:28.123Z"},
}


@pytest.fixture
def contents() -> ImageContents:
    return read_contents(store(), "image:1", "base:1")


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs that is the whole PATH, aside from the shell's own."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


def install(programs: Path, name: str, script: str) -> None:
    (programs / name).write_text(f"#!/bin/sh\n{script}\n")
    (programs / name).chmod(stat.S_IRWXU)


def answer(programs: Path, name: str, document: Any, script: str = "") -> None:
    """Install a program that prints a document."""
    (programs / f"{name}.json").write_text(json.dumps(document))
    install(programs, name, f"{script}\nexec cat '{programs / name}.json'")


def trivy(programs: Path, report: Any) -> None:
    (programs / "version.json").write_text(json.dumps(TRIVY_VERSION))
    answer(programs, "trivy", report, f"[ \"$1\" = version ] && exec cat '{programs}/version.json'")


def rows(result: ScannerResult) -> list[tuple[str, str, Severity, str | None, bool]]:
    return [
        (found.package.name, found.id, found.severity, found.fixed, found.added)
        for found in result.vulnerabilities
    ]


def test_grype_answers_from_its_database(contents: ImageContents, programs: Path) -> None:
    answer(
        programs,
        "grype",
        GRYPE,
        f"env > '{programs}/seen'; ls -A >> '{programs}/seen'; cp image.cdx.json '{programs}'",
    )
    result = Grype().scan(contents, sbom_text(contents))
    assert rows(result) == [
        ("urllib3", "GHSA-34jh-p97f-mpxf", Severity.MEDIUM, "2.8.1", True),
        ("libc6", "CVE-2024-33599", Severity.HIGH, None, False),
    ]
    assert (result.scanner, result.database, result.left_out) == (
        "grype 0.100.0",
        "database of 2026-11-26",
        None,
    )
    assert (programs / "image.cdx.json").read_text() == sbom_text(contents)
    seen = (programs / "seen").read_text().splitlines()
    assert "GRYPE_DB_AUTO_UPDATE=false" in seen
    assert seen[-1] == "image.cdx.json"


def test_settings_that_hide_findings_do_not_reach_a_scanner(
    contents: ImageContents, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIVY_SEVERITY", "CRITICAL")
    monkeypatch.setenv("TRIVY_IGNOREFILE", "/etc/ignore")
    monkeypatch.setenv("TRIVY_CACHE_DIR", "/var/cache/trivy")
    trivy(programs, TRIVY)
    (programs / "trivy").write_text(
        (programs / "trivy").read_text().replace("\n", f"\nenv > '{programs}/seen'\n", 1)
    )
    Trivy().scan(contents, "{}")
    seen = (programs / "seen").read_text()
    assert "TRIVY_SEVERITY" not in seen
    assert "TRIVY_IGNOREFILE" not in seen
    assert "TRIVY_CACHE_DIR=/var/cache/trivy\n" in seen
    assert "TRIVY_SKIP_DB_UPDATE=true\n" in seen


def test_findings_that_grypes_configuration_ignores_are_reported(
    contents: ImageContents, programs: Path
) -> None:
    answer(programs, "grype", {**GRYPE, "matches": [], "ignoredMatches": GRYPE["matches"]})
    result = Grype().scan(contents, "{}")
    assert result.left_out == "2 findings that grype's configuration ignores"


def test_grype_with_fail_on_severity_in_its_configuration_is_an_answer(
    contents: ImageContents, programs: Path
) -> None:
    answer(programs, "grype", GRYPE)
    (programs / "grype").write_text((programs / "grype").read_text().replace("exec cat", "cat") + "exit 2\n")
    assert len(Grype().scan(contents, "{}").vulnerabilities) == 2


def test_trivy_answers_from_its_database(contents: ImageContents, programs: Path) -> None:
    trivy(programs, TRIVY)
    result = Trivy().scan(contents, sbom_text(contents))
    assert rows(result) == [
        ("libc6", "CVE-2024-33599", Severity.HIGH, "2.36-9+deb12u7", False),
        ("urllib3", "CVE-2024-37891", Severity.MEDIUM, "2.8.1", True),
    ]
    assert (result.scanner, result.database, result.left_out) == (
        "trivy 0.70.0",
        "database of 2026-11-26",
        None,
    )


@pytest.mark.parametrize(
    ("name", "script", "message"),
    [
        (
            "grype",
            "echo 'failed to load vulnerability db: vulnerability database error: database does not exist. "
            "Try grype db update' >&2; exit 1",
            "grype has no usable database (failed to load vulnerability db: vulnerability database error: database "
            "does not exist. Try grype db update): `grype db update` fetches it",
        ),
        (
            "trivy",
            "echo '2026-11-27T10:30:05Z ERROR The first run cannot skip downloading DB' >&2; exit 1",
            "The first run cannot skip downloading DB): `trivy image --download-db-only` fetches it",
        ),
        ("grype", "exit 0", "grype answers with no JSON document: exit code 0"),
        ("trivy", "echo '[]'", "trivy answers with no JSON document: []"),
    ],
)
def test_a_scanner_without_a_database_or_an_answer_is_no_scan(
    contents: ImageContents, programs: Path, name: str, script: str, message: str
) -> None:
    install(programs, name, script)
    with pytest.raises(NotScanned) as refused:
        find_scanner(name).scan(contents, "{}")
    assert message in str(refused.value)


def test_a_package_of_ours_that_trivy_passes_over_is_no_scan(contents: ImageContents, programs: Path) -> None:
    trivy(programs, {**TRIVY, "Results": TRIVY["Results"][:1]})
    with pytest.raises(
        NotScanned, match="trivy does not know lora-serving-sagemaker, urllib3, which the image adds"
    ):
        Trivy().scan(contents, "{}")


def test_packages_of_the_base_that_trivy_passes_over_are_reported(
    contents: ImageContents, programs: Path
) -> None:
    trivy(programs, {**TRIVY, "Results": TRIVY["Results"][1:]})
    assert Trivy().scan(contents, "{}").left_out == "2 packages of the base that trivy does not know"


def test_a_distribution_that_grype_does_not_recognise_is_no_scan(
    contents: ImageContents, programs: Path
) -> None:
    answer(programs, "grype", {**GRYPE, "distro": {"name": "", "version": "", "idLike": None}})
    with pytest.raises(NotScanned, match="does not recognise debian 12"):
        Grype().scan(contents, "{}")


@pytest.fixture
def auditor(programs: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """pip-audit, as a program to be installed with `answer`."""
    monkeypatch.setattr(pip_audit.PipAudit, "program", lambda _self: str(programs / "pip-audit"))
    return programs


def entry(name: str, version: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "version": version, "vulns": [], **more}


def test_pip_audit_answers_for_the_packages_of_python(contents: ImageContents, auditor: Path) -> None:
    known = {"id": "GHSA-34jh-p97f-mpxf", "fix_versions": ["2.8.1"], "aliases": ["CVE-2024-37891"]}
    document = {
        "dependencies": [entry("pip", "23.0.1"), entry("urllib3", "2.8.0", vulns=[known])],
        "fixes": [],
    }
    answer(auditor, "pip-audit", document, f"cp pins.txt '{auditor}'")
    result = PipAudit().scan(contents, "{}")
    assert rows(result) == [("urllib3", "GHSA-34jh-p97f-mpxf", Severity.UNKNOWN, "2.8.1", True)]
    assert result.left_out == "2 packages of the base that OSV does not have under PyPI"
    assert (auditor / "pins.txt").read_text() == "pip==23.0.1\nurllib3==2.8.0\n"


def test_pip_audits_success_without_a_look_up_is_no_scan(contents: ImageContents, auditor: Path) -> None:
    # pip-audit 2.10.1 with an index that does not have PyPI's JSON interface: exit code 0 and "No known
    # vulnerabilities found".
    reason = "Dependency not found on PyPI and could not be audited: urllib3 (2.8.0)"
    skipped = {"name": "urllib3", "skip_reason": reason}
    answer(auditor, "pip-audit", {"dependencies": [entry("pip", "23.0.1"), skipped], "fixes": []})
    with pytest.raises(NotScanned, match="pip-audit has no entry for urllib3"):
        PipAudit().scan(contents, "{}")
    answer(auditor, "pip-audit", {"dependencies": [entry("pip", "23.0.1")], "fixes": []})
    with pytest.raises(NotScanned, match="reports 1 of 2 packages"):
        PipAudit().scan(contents, "{}")


def test_pip_audit_without_network_is_no_scan(contents: ImageContents, auditor: Path) -> None:
    install(
        auditor, "pip-audit", "echo \"requests.exceptions.ConnectionError: host='api.osv.dev'\" >&2; exit 1"
    )
    with pytest.raises(
        NotScanned,
        match=r"no answer from api.osv.dev \(requests.exceptions.ConnectionError\): it needs network",
    ):
        PipAudit().scan(contents, "{}")


def test_pip_audit_refuses_an_image_with_other_packages_of_ours(auditor: Path) -> None:
    images = store()
    images.images["image:1"].append(
        layer({"opt/gateway/pyvenv.cfg": b"home = /opt/python/bin\nversion_info = 3.11.18"})
    )
    with pytest.raises(NotScanned, match="knows packages of PyPI only, and this image adds python"):
        PipAudit().scan(read_contents(images, "image:1", "base:1"), "{}")


def test_the_first_scanner_that_is_installed_is_used(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pip_audit.PipAudit, "program", lambda _self: None)
    with pytest.raises(
        NotScanned, match=r"none of grype, trivy and pip-audit is installed here: .*make setup-scan"
    ):
        find_scanner(None)
    install(programs, "trivy", "exit 0")
    assert find_scanner(None).name == "trivy"
    install(programs, "grype", "exit 0")
    assert find_scanner(None).name == "grype"
    with pytest.raises(NotScanned, match="no pip-audit is installed here"):
        find_scanner("pip-audit")
    assert [scanner.name for scanner in SCANNERS] == ["grype", "trivy", "pip-audit"]


def test_a_scanner_runs_where_no_file_of_the_user_is(contents: ImageContents, programs: Path, tmp_path: Path,
                                                     monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    (tmp_path / ".trivyignore").write_text("CVE-2024-37891\n")
    monkeypatch.chdir(tmp_path)
    trivy(programs, TRIVY)
    (programs / "trivy").write_text(
        (programs / "trivy").read_text().replace("\n", f"\npwd > '{programs}/seen'\n", 1)
    )
    Trivy().scan(contents, "{}")
    assert (programs / "seen").read_text().strip() not in (str(tmp_path), str(Path.cwd()))
