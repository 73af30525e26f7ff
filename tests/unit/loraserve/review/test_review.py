"""A review of two ready assemblies, and its command."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from loraserve.cli.commands import app
from loraserve.review.assembly import AssemblyError
from loraserve.review.document import ReviewDocument, read
from loraserve.review.review import NO_FACTS, NO_TOOLING, review
from loraserve.review.sides import Side

#: A type that no rule knows: its removal is BLOCK, another change of it REVIEW.
TYPE = "AWS::Unknown::Thing"
Resources = dict[str, dict[str, Any]]
THINGS: Resources = {
    "Kept": {"Type": TYPE, "Properties": {"Name": "a"}},
    "Gone": {"Type": TYPE, "Metadata": {"aws:cdk:path": "Prod/Store/Gone/Resource"}},
}


def assembly(folder: Path, **stages: Resources) -> Path:
    """Write an assembly as the CDK does: a nested one for each stage, here with one stack."""
    folder.mkdir()
    artifacts = {}
    for name, resources in stages.items():
        artifacts[f"assembly-{name}"] = {
            "type": "cdk:cloud-assembly",
            "displayName": name,
            "properties": {"directoryName": f"assembly-{name}"},
        }
        nested = folder / f"assembly-{name}"
        nested.mkdir()
        stack = {
            "type": "aws:cloudformation:stack",
            "displayName": f"{name}/Store (LoraServing-{name}-Store)",
            "environment": "aws://unknown-account/us-east-1",
            "properties": {"templateFile": "store.json", "stackName": f"LoraServing-{name}-Store"},
        }
        (nested / "manifest.json").write_text(json.dumps({"artifacts": {"Store": stack}}))
        (nested / "store.json").write_text(json.dumps({"Resources": resources}))
    (folder / "manifest.json").write_text(json.dumps({"artifacts": artifacts}))
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Prod loses a thing, and another one changes in both stages."""
    folder = tmp_path_factory.mktemp("assemblies")
    other = {"Kept": {"Type": TYPE, "Properties": {"Name": "b" * 3000}}}
    return (
        assembly(folder / "base", Dev=THINGS, Prod=THINGS),
        assembly(folder / "head", Dev=THINGS | other, Prod=other),
    )


def sides(folders: tuple[Path, Path]) -> tuple[Side, Side]:
    before, after = (Side(name=path.name, commit="", assembly=path) for path in folders)
    return before, after


@pytest.fixture(scope="module")
def document(folders: tuple[Path, Path]) -> ReviewDocument:
    return review(*sides(folders))


def test_each_stage_has_the_level_of_its_gravest_finding(document: ReviewDocument) -> None:
    assert [(each.name, each.verdict) for each in document.stages] == [("dev", "REVIEW"), ("prod", "BLOCK")]
    assert document.exit_code == 3
    assert document.notes == (NO_TOOLING, NO_FACTS)
    assert document.hidden == 0


def test_a_finding_names_its_resources_and_bounds_its_values(document: ReviewDocument) -> None:
    gone, changed = (each for each in document.findings if each.stage == "prod")
    [resource] = gone.resources
    assert (resource.stack, resource.logical_id, resource.type) == ("Store", "Gone", TYPE)
    assert resource.path == "Prod/Store/Gone"
    assert (changed.before, changed.after) == ("a", "(3,002 characters of JSON)")
    assert len({each.id for each in document.findings}) == 3


def test_cloud_formations_own_diff_has_every_stack_that_differs(document: ReviewDocument) -> None:
    assert document.diff.count("Stack ") == 2
    assert f"[-] {TYPE} Gone destroy" in document.diff
    assert "\x1b" not in document.diff


@pytest.mark.parametrize(("arguments", "code"), [
    (("--accept", "unknown"), 0), (("--accept", "loss"), 3), (("--fail-on", "never"), 0),
])  # fmt: skip
def test_the_exit_code_is_that_of_what_is_not_accepted(
    folders: tuple[Path, Path], tmp_path: Path, arguments: tuple[str, ...], code: int
) -> None:
    before, after = map(str, folders)
    called = [
        "review",
        "--base-assembly",
        before,
        "--head-assembly",
        after,
        "--output",
        str(tmp_path / "out"),
    ]
    done = CliRunner().invoke(app, [*called, *arguments])
    assert done.exit_code == code, done.output
    written = read((tmp_path / "out" / "review.json").read_text())
    assert written.exit_code == code
    # Accepted or not, it is in the report.
    mark = " (accepted)" if "unknown" in arguments else ""
    assert f"BLOCK{mark} prod: {TYPE} Gone is deleted" in done.output
    assert "### prod: BLOCK" in (tmp_path / "out" / "review.md").read_text()


def test_equal_assemblies_pass_any_gate(folders: tuple[Path, Path]) -> None:
    before = str(folders[0])
    called = ["review", "--base-assembly", before, "--head-assembly", before, "--fail-on", "review"]
    done = CliRunner().invoke(app, [*called, "--format", "json"])
    assert done.exit_code == 0, done.output
    assert {each.verdict for each in read(done.stdout).stages} == {"NOTHING"}
    assert (
        CliRunner().invoke(app, [*called, "--format", "markdown"]).stdout.startswith("### no stage changes\n")
    )


@pytest.mark.parametrize(("broken", "name"), [(0, "base"), (1, "head")])
def test_an_assembly_that_cannot_be_read_is_named_by_its_side(
    folders: tuple[Path, Path], tmp_path: Path, broken: int, name: str
) -> None:
    chosen = [*folders]
    chosen[broken] = tmp_path
    with pytest.raises(
        AssemblyError, match=f"the {name} cannot be read: .*manifest.json is missing: name the"
    ):
        review(*sides((chosen[0], chosen[1])))


@pytest.mark.parametrize(("arguments", "message"), [
    (("--base-assembly", "a"), "give both"),
    (("--base-assembly", "a", "--head-assembly", "b", "--stage", "dev"), "nothing is synthesized"),
    (("--accept", "everything"), "use identity or loss"),
    (("--fail-on", "any"), "use block or review or never"),
    (("--format", "html"), "use text or markdown or json"),
    (("--output", __file__), "File exists; name a folder"),
    (("--output", f"{__file__}/folder"), "Not a directory; name a folder"),
])  # fmt: skip
def test_an_unusable_option_ends_with_2(arguments: tuple[str, ...], message: str) -> None:
    done = CliRunner().invoke(app, ["review", *arguments])
    assert done.exit_code == 2
    assert message in " ".join(done.output.split())
