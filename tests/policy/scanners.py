"""Findings of three third-party scanners in a cloud assembly.

cfn-lint and checkov read the synthesized templates; cdk-nag is a plugin of a synth. None of them uses a
network.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from cdk_nag import AwsSolutionsChecks

from loraserve.diff import stack_templates
from loraserve.setup import isolated
from tests.harness.isolated import programs
from tests.harness.outgoing_proxy import OutgoingProxy

#: Time limit of one scanner for all templates, in seconds: about a hundred times the usual time, and less than
#: the time limit of a test. A shared machine was twenty times as slow.
LIMIT_S = 500


@dataclass(frozen=True, order=True)
class Finding:
    """A finding of a scanner about one construct."""

    scanner: str
    #: For example CKV_AWS_117; with a subject if cdk-nag names one, as in
    #: AwsSolutions-IAM5[Resource::<Bucket.Arn>/models/*].
    rule: str
    #: The construct's path, for example Dev/AdapterStore/Bucket/Resource.
    construct: str
    text: str


def cdk_nag(app: cdk.App) -> list[Finding]:
    """Synthesize the app with the AWS Solutions rules; its templates are then in `app.outdir`.

    Raises the error of a synth without these rules, if there is one.
    """
    pack = AwsSolutionsChecks(app)
    cdk.Validations.of(app).add_plugins(pack)
    report = Path(app.outdir) / "validation-report.json"
    try:
        app.synth()
    except RuntimeError:
        if not report.exists() or _failed(report) != {pack.name}:
            raise
    [said] = [plugin for plugin in _said(report) if plugin["pluginName"] == pack.name]
    return sorted(
        Finding(
            "cdk-nag", readable(violation["ruleName"]), construct["constructPath"], violation["description"]
        )
        for violation in said["violations"]
        for construct in violation["violatingConstructs"]
    )


def _said(report: Path) -> list[dict[str, Any]]:
    """Read the report of each plugin of a synth."""
    said: list[dict[str, Any]] = json.loads(report.read_text())["pluginReports"]
    return said


def _failed(report: Path) -> set[str]:
    return {plugin["pluginName"] for plugin in _said(report) if plugin["conclusion"] == "failure"}


def readable(rule: str) -> str:
    """Return a cdk-nag rule without the parts that depend on the stage or on a construct's content.

    The hash of a logical id, account, region, and the digest of a model are left out. An attribute of another
    stack's resource is written like an attribute of the same stack.
    """
    output = r"[\w-]+:ExportsOutputFnGetAtt(\w+?)[0-9A-F]{8}Arn[0-9A-F]{8}"
    rule = re.sub(output, r"<\1.Arn>", rule)
    rule = re.sub(r"<(\w+?)[0-9A-F]{8}\.", r"<\1.", rule)
    rule = re.sub(r"\b\d{12}\b", "<AWS::AccountId>", rule)
    rule = re.sub(r"\b[a-z]{2}(-[a-z]+)+-\d\b", "<AWS::Region>", rule)
    rule = re.sub(r"\barn:aws(-[a-z]+)*:(?!iam::aws)", "arn:<AWS::Partition>:", rule)
    rule = re.sub(r"(:ec2:<AWS::Region>:\*:(?:subnet|security-group))/.*$", r"\1/<id>]", rule)
    rule = re.sub(r"\b[0-9a-f]{40}\b", "<commit>", rule)
    rule = re.sub(r"\bLoraServing-\w+-Serving(?=\*|/\*)", "<endpoint>", rule)
    return re.sub(r"\b[0-9a-f]{16}\b", "<digest>", rule)


def distinct(assembly: Path) -> list[Path]:
    """Return one of the templates that differ in the stage's name only: their findings are equal."""
    found: dict[str, Path] = {}
    for path, file in stack_templates(assembly):
        stage = path.partition("/")[0]
        text = file.read_text().replace(stage, "Stage").replace(f'"{stage.lower()}"', '"stage"')
        found.setdefault(text, file)
    return list(found.values())


def cfn_lint(assembly: Path) -> list[Finding]:
    """Return cfn-lint's errors and warnings: unknown properties, wrong values, needless dependencies."""
    program = Path(sys.executable).with_name("cfn-lint")
    command = [
        str(program),
        "--format",
        "json",
        "--non-zero-exit-code",
        "none",
        "--",
        *map(str, distinct(assembly)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=True)
    constructs = _constructs(assembly)
    return sorted(
        Finding(
            "cfn-lint",
            match["Rule"]["Id"],
            _construct(constructs, match["Filename"], match["Location"]["Path"]),
            match["Message"],
        )
        for match in json.loads(done.stdout)
    )


def checkov(assembly: Path, home: Path) -> list[Finding]:
    """Return the failed checks of the templates; `home` is an empty home directory for checkov."""
    program = programs(isolated.SCANNER) / "checkov"
    files = map(str, distinct(assembly))
    offline = ["--skip-download", "--skip-results-upload"]
    output = ["--output", "json", "--quiet", "--compact", "--soft-fail"]
    with OutgoingProxy() as outside:
        environment = {
            "PATH": os.defpath,
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "CKV_SKIP_PACKAGE_UPDATE_CHECK": "true",
            **outside.environment,
        }
        done = subprocess.run(
            [str(program), "--framework", "cloudformation", *offline, *output, "--file", *files],
            cwd=home,
            env=environment,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert outside.asked == []
    report = json.loads(done.stdout)
    # A template that checkov cannot read would have no findings.
    assert report["summary"]["parsing_errors"] == 0
    if report["summary"]["resource_count"] == 0:
        pytest.fail("checkov found no resource")
    constructs = _constructs(assembly)
    return sorted(
        Finding(
            "checkov",
            check["check_id"],
            _construct(constructs, check["file_abs_path"], ["Resources", check["resource"].split(".")[1]]),
            check["check_name"],
        )
        for check in report["results"]["failed_checks"]
    )


def _construct(constructs: dict[tuple[str, str], str], file: str, place: list[Any]) -> str:
    name = Path(file).name
    if place[:1] == ["Resources"] and len(place) > 1:
        return constructs[name, place[1]]
    return "/".join([name, *map(str, place)])


def _constructs(assembly: Path) -> dict[tuple[str, str], str]:
    """Return the construct of each resource, by the template's file name and the logical id."""
    return {
        (template.name, entry["data"]): construct.removeprefix("/")
        for _, template in stack_templates(assembly)
        for construct, entry in _metadata(template)
        if entry["type"] == "aws:cdk:logicalId"
    }


def _metadata(template: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Read a template's metadata from the assembly: entries with a type, by construct."""
    beside = template.with_name(template.name.replace(".template.json", ".metadata.json"))
    for construct, entries in json.loads(beside.read_text()).items():
        for entry in entries:
            yield construct, entry
