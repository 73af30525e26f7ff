"""The page docs/sizing.md: its figures are those of the commands that it shows."""

import re
import shlex

import pytest
from typer.testing import CliRunner

from loraserve.cli.commands import app
from stacks.project import ROOT

PAGE = (ROOT / "docs" / "sizing.md").read_text()
BLOCKS = re.findall(r"^```\n\$ python -m loraserve (.+)\n((?:.+\n)+)```$", PAGE, re.MULTILINE)


def test_the_page_has_a_command_for_each_part() -> None:
    assert len(BLOCKS) == PAGE.count("```\n$ ") >= 6


@pytest.mark.parametrize(("command", "shown"), BLOCKS, ids=[command for command, _ in BLOCKS])
def test_the_figures_are_the_commands_output(command: str, shown: str) -> None:
    done = CliRunner().invoke(app, shlex.split(command))
    assert done.exit_code == 0
    output = done.stdout.splitlines()
    assert [line for line in shown.splitlines() if line not in output] == []


def test_the_figures_of_the_text_are_in_the_tables() -> None:
    tables = "".join(shown for _, shown in BLOCKS)
    in_text = set(re.findall(r"\$(\d+\.\d\d)", PAGE.partition("## Answer")[2]))
    assert in_text
    assert [figure for figure in sorted(in_text) if not re.search(rf"\s{re.escape(figure)}\s", tables)] == []


@pytest.mark.parametrize("page", ["sizing.md", "plan.md"])
def test_the_article_has_the_name_of_the_readme(page: str) -> None:
    text = (ROOT / "docs" / page).read_text()
    assert "the article" in text
    assert "blog" not in text.lower()
