"""docs/promotion.md: its runbook quotes messages that the code has, and its GitLab jobs run the same commands."""

import ast
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from stacks.project import ROOT

PAGE = (ROOT / "docs" / "promotion.md").read_text()
[SNIPPET] = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
#: Merge keys and anchors are resolved.
JOBS: dict[str, Any] = yaml.safe_load(SNIPPET)
#: Messages of AWS and names of errors that it answers with.
OTHERS = {"Not authorized to perform sts:AssumeRoleWithWebIdentity", "ExpiredToken"}


def texts() -> list[str]:
    """Return every text of the product, with `…` for what is known at run time alone."""
    found = []
    for folder in ("loraserve", "stacks"):
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                match node:
                    case ast.JoinedStr(values=values):
                        parts = [
                            str(each.value) if isinstance(each, ast.Constant) else "…" for each in values
                        ]
                        found.append("".join(parts))
                    case ast.Constant(value=str(value)):
                        found.append(value)
    return found


def quoted() -> list[str]:
    """Return the messages of the runbook's first column."""
    [table] = re.findall(r"## Runbook\n\n.*?\n\|[-|]+\|\n(.*?)\n\n", PAGE, re.DOTALL)
    return [message for line in table.splitlines() for message in re.findall("`([^`]+)`", line.split("|")[1])]


def test_the_runbook_quotes_messages_that_the_code_has() -> None:
    known = texts()
    assert len(quoted()) > 20
    missing = []
    for message in quoted():
        # A value of the example, such as the stage's name, is known at run time alone.
        pieces = [
            piece
            for piece in re.split(r"…|'?\bprod\b'?|'?\bstaging\b'?|release\.json", message)
            if len(piece) > 5
        ]
        pattern = re.compile(".*".join(re.escape(piece.strip()) for piece in pieces), re.DOTALL)
        if message not in OTHERS and not any(pattern.search(text) for text in known):
            missing.append(message)
    assert missing == []


def test_each_command_of_the_page_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"\bmake ([a-z][a-z-]+)", PAGE))
    assert {each for each in targets if not re.search(rf"^{each}:", makefile, re.MULTILINE)} == set()


def test_the_jobs_have_the_form_of_gitlabs_schema(tmp_path: Path) -> None:
    file = tmp_path / ".gitlab-ci.yml"
    file.write_text(SNIPPET)
    command = [ROOT / ".venv" / "bin" / "check-jsonschema", "--builtin-schema", "vendor.gitlab-ci"]
    done = subprocess.run(
        [*command, "--data-transform", "gitlab-ci", file], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_the_jobs_run_the_commands_of_the_workflows() -> None:
    workflows = " ".join(
        re.sub(r"\\\n\s+", " ", file.read_text()) for file in (ROOT / ".github" / "workflows").glob("*.yml")
    )
    scripts = [line for job in JOBS.values() if isinstance(job, dict) for line in job.get("script", [])]
    commands = [line for line in scripts if "loraserve" in line]
    assert len(commands) == 4
    for command in commands:
        # GitLab's variables have other names.
        words = [word for word in command.split() if "$" not in word]
        assert all(word in workflows for word in words), command


@pytest.mark.parametrize(
    ("job", "needs"),
    [
        ("dev-plan", ["release"]),
        ("dev", ["release", "dev-plan"]),
        ("staging-plan", ["release", "dev"]),
        ("staging", ["release", "staging-plan"]),
        ("prod-plan", ["release", "staging"]),
        ("prod", ["release", "prod-plan"]),
    ],
)
def test_the_stages_come_in_their_order_and_prod_waits_for_a_person(job: str, needs: list[str]) -> None:
    assert JOBS[job]["needs"] == needs
    assert ("when" in JOBS[job].get("rules", [{}])[0]) == (job == "prod")
    assert "allow_failure" not in JOBS[job]
