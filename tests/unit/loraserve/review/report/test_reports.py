"""Reports in Markdown and text: their content, order and limits."""

import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from loraserve.review.document import AdapterEntry, ReviewDocument, write
from loraserve.review.report.content import SCREEN
from loraserve.review.report.markdown import COMMENT_BUDGET, markdown
from loraserve.review.report.text import text
from stacks.project import ROOT
from tests.unit.loraserve.review.report.documents import EXAMPLE, NOTHING, finding, stage

FOLDER = Path(__file__).parent
#: 5 stages, 400 adapters in each, 17 alarms, and a diff of more than a comment holds.
LARGE = replace(
    NOTHING,
    stages=tuple(stage(f"stage{number}", "REVIEW") for number in range(5)),
    findings=tuple(
        finding(f"alarms.{number}", "REVIEW", f"alarm {number} is removed", stage=f"stage{of}", action=f"Look {of}.")
        for of in range(5)
        for number in range(17)
    ),
    adapters=tuple(
        AdapterEntry(stage=f"stage{of}", name=f"adapter-{number}", what="repinned", before="a" * 40, after="b" * 40)
        for of in range(5)
        for number in range(400)
    ),
    diff="\n".join(f"[~] line {number} {'x' * 80}" for number in range(5000)),
)  # fmt: skip


def first_screen(report: str) -> list[str]:
    """The lines of Markdown that GitHub shows before the first fold."""
    shown = report.partition("<details>")[0].splitlines()
    return [line for line in shown if line and not line.startswith("|---")]


@pytest.mark.parametrize(("name", "render"), [("golden.md", markdown), ("golden.txt", text)])
def test_the_example_is_reported_as_in_the_golden_file(name: str, render: object) -> None:
    assert callable(render)
    assert render(EXAMPLE) == (FOLDER / name).read_text()


def test_nothing_changes_is_said_in_the_title() -> None:
    assert markdown(NOTHING) == (
        "### no stage changes\n\nbase `1a2b3c4` (main) · head `5d6e7f8` (working tree) · prices of 2026-11\n"
    )


def test_only_a_package_changes() -> None:
    packages = finding("tooling.library", "ROUTINE", "aws-cdk-lib 2.1 → 2.2", stage="")
    report = markdown(replace(NOTHING, findings=(packages,)))
    assert report.startswith("### tooling: routine · no stage changes\n")
    assert "- routine all stages: aws-cdk-lib `2.1`" not in report.partition("<details>")[0]
    assert "- routine all stages: " in report


def test_the_title_says_that_libraries_are_not_compared() -> None:
    assert markdown(replace(EXAMPLE, has_heads_packages=True)).splitlines()[0].endswith(
        "changes of libraries are not shown"
    )  # fmt: skip


@pytest.mark.parametrize("document", [EXAMPLE, LARGE, NOTHING], ids=["example", "large", "nothing"])
def test_the_first_screen_has_at_most_twelve_lines(document: ReviewDocument) -> None:
    assert len(first_screen(markdown(document))) <= SCREEN + (document is NOTHING)
    assert len(text(document).split("\n\n")[0].splitlines()) <= SCREEN


def test_more_open_findings_than_the_first_screen_holds_are_counted() -> None:
    many = replace(
        EXAMPLE, findings=tuple(finding("alarms.removed", "REVIEW", f"alarm {n}") for n in range(20))
    )
    lines = first_screen(markdown(many, summary="https://github.com/o/r/actions/runs/1"))
    shown = [line for line in lines if line.startswith("- **REVIEW**")]
    assert 3 <= len(shown) <= 8
    assert lines[-2] == f"- [and {20 - len(shown)} more](https://github.com/o/r/actions/runs/1)"
    assert f"and {20 - len(shown)} more" in text(many)


def test_a_block_is_above_every_review() -> None:
    found = (
        *(finding("alarms.removed", "REVIEW", f"alarm {n}") for n in range(20)),
        finding("loss.data", "BLOCK", "the bucket"),
    )
    lines = [
        line for line in first_screen(markdown(replace(EXAMPLE, findings=found))) if line.startswith("- ")
    ]
    assert lines[0] == "- **BLOCK** prod: the bucket"


def test_an_accepted_finding_stays_and_hides_no_other() -> None:
    found = (
        finding("loss.data", "BLOCK", "the bucket is deleted", accepted=True),
        finding("access.public", "BLOCK", "the topic is public"),
    )
    report = markdown(replace(EXAMPLE, findings=found, accepted=("loss",)))
    assert first_screen(report)[0].startswith("### prod: BLOCK · ")
    lines = [line for line in first_screen(report) if line.startswith("- ")]
    assert lines == [
        "- **BLOCK** prod: the topic is public",
        "- **BLOCK** (accepted) prod: the bucket is deleted",
    ]
    assert "`--accept access`" in report and "`--accept loss`" not in report
    assert "accepted: loss" in report.splitlines()[-3]
    assert report.endswith("timeline shows who set the labels of acceptance.\n")
    all_accepted = replace(EXAMPLE, findings=found[:1], accepted=("loss",), exit_code=0)
    assert markdown(all_accepted).startswith("### prod: BLOCK (accepted) · ")


def test_the_comment_fits_whatever_its_content_is() -> None:
    report = markdown(LARGE)
    assert len(report.encode()) <= COMMENT_BUDGET
    cuts = re.findall(r"Cut here: ([\d,]+) of ([\d,]+) (\w+)", report)
    # The raw diff goes first, then the adapters' table.
    assert int(cuts[-1][0].replace(",", "")) > 4950
    assert [cut[1:] for cut in cuts] == [("2,000", "rows"), ("5,000", "lines")]
    shown = len(re.findall(r"^\| stage\d \| `?adapter-", report, re.MULTILINE))
    assert shown == 2000 - int(cuts[0][0].replace(",", "")) > 100
    # Everything is in the job summary, whose limit is a MiB.
    assert "Cut here" not in markdown(LARGE, budget=1_000_000)


@pytest.mark.parametrize("budget", [5_000, 20_000])
def test_every_fold_is_closed_wherever_it_is_cut(budget: int) -> None:
    report = markdown(LARGE, budget=budget)
    assert len(report.encode()) <= budget
    assert report.count("<details>") == report.count("</details>") == 3
    assert report.count("```") % 2 == 0


def test_a_value_of_a_mebibyte_is_cut_and_counted() -> None:
    report = markdown(replace(EXAMPLE, findings=(finding("loss.data", "BLOCK", "x " * 500_000),)))
    assert "(+999,909 characters)" in first_screen(report)[4]
    assert len(report) < 5_000


def test_a_long_name_does_not_move_the_title_off_the_line() -> None:
    report = markdown(
        replace(EXAMPLE, findings=(finding("loss.data", "BLOCK", "the bucket is deleted", stage="x" * 900),))
    )
    assert "- **BLOCK** `" + "x" * 30 + "…` (+870 characters): the bucket is deleted" in report


def test_equal_findings_of_several_stages_are_one_row() -> None:
    assert "- rollover staging, prod: all instances are replaced\n" in markdown(EXAMPLE)


@pytest.mark.parametrize(("before", "after", "cell"), [
    (4127, 8239, "+4,112 (4,127 → 8,239)"), (8239, 4127, "−4,112 (8,239 → 4,127)"), (5.2, 5.4, "="),
    (None, 10, "10 (base: not known)"), (10, None, "not known"), (0, 10, "+10 (0 → 10)"),
])  # fmt: skip
def test_the_cost_of_a_stage(before: float | None, after: float | None, cell: str) -> None:
    row = stage("prod", "REVIEW", usd_month_most_before=before, usd_month_most_after=after)
    assert cell in text(replace(EXAMPLE, stages=(row,)))


def test_without_facts_the_adapters_are_not_said_to_be_equal() -> None:
    row = stage("prod", "REVIEW", adapters_known=False)
    assert "| not known | = | wider: 1 |" in markdown(replace(EXAMPLE, stages=(row,), adapters=()))


def test_the_cell_of_changed_adapters_has_each_kind() -> None:
    repinned = replace(EXAMPLE.adapters[0], name="third", what="repinned", after="hf://org/gsm8k@5d6e7f8")
    changed = replace(EXAMPLE, adapters=(*EXAMPLE.adapters, repinned))
    assert "| +1 −1, 1 changed |" in markdown(changed)


def test_many_stages_and_findings_are_reported_in_seconds() -> None:
    """The document of a pull request may have 20 MB, and the job that renders it has a limit of minutes."""
    many = replace(
        NOTHING,
        stages=tuple(stage(f"s{number}", "REVIEW") for number in range(5_000)),
        findings=tuple(
            finding("access.wider", "REVIEW", f"{n}", stage=f"s{n % 5_000}") for n in range(5_000)
        ),
    )
    started = time.process_time()
    assert "and 4,992 more" in markdown(many).splitlines()[0]
    assert time.process_time() - started < 5


def test_a_bare_python_makes_the_reports(tmp_path: Path) -> None:
    """The comment's workflow installs nothing."""
    (tmp_path / "review.json").write_text(write(EXAMPLE))
    script = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from loraserve.review.document import read\n"
        "from loraserve.review.report.markdown import markdown\n"
        "from loraserve.review.report.text import text\n"
        f"document = read(open({str(tmp_path / 'review.json')!r}).read())\n"
        "print(markdown(document) + text(document), end='')\n"
        "others = {name.partition('.')[0] for name in sys.modules} - sys.stdlib_module_names\n"
        "assert others <= {'loraserve', '__main__'}, others\n"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-I", "-X", "utf8", "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == markdown(EXAMPLE) + text(EXAMPLE)
