"""The command, with a store of images in memory and without a scanner."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from loraserve.cli.commands import app
from loraserve.images import builders
from loraserve.images.build import Base, image_name, reference
from loraserve.images.builders import NoBuilder
from loraserve.images.scan import grype, pip_audit, trivy
from tests.unit.loraserve.images.scan.saved_image import Store, store


@pytest.fixture(autouse=True)
def _no_scanner(monkeypatch: pytest.MonkeyPatch) -> None:
    for scanner in (grype.Grype, trivy.Trivy, pip_audit.PipAudit):
        monkeypatch.setattr(scanner, "program", lambda _self: None)


@pytest.fixture
def images(monkeypatch: pytest.MonkeyPatch) -> Store:
    """The builder's store, with the images of both engines on their stand-ins."""
    found = store()
    for engine in ("lorax", "vllm"):
        found.images[image_name(engine, Base.STAND_IN)] = found.images["image:1"]
        found.images[reference(engine, Base.STAND_IN)] = found.images["base:1"]
    monkeypatch.setattr(builders, "find_builder", lambda: found)
    return found


def run(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["scan-images", *arguments])
    return done.exit_code, done.stdout, " ".join(done.stderr.split())


@pytest.mark.usefixtures("images")
def test_without_a_scanner_the_bills_of_materials_are_written_and_the_exit_code_is_3(tmp_path: Path) -> None:
    code, output, errors = run("--base", "stand-in", "--output", str(tmp_path))
    assert code == 3
    assert output == ""
    assert errors.count("not scanned: none of grype, trivy and pip-audit is installed here") == 2
    assert sorted(file.name for file in tmp_path.iterdir()) == ["lorax.cdx.json", "vllm.cdx.json"]


@pytest.mark.usefixtures("images")
def test_json_is_one_document_with_the_chosen_engine(tmp_path: Path) -> None:
    code, output, _ = run("--engine", "vllm", "--base", "stand-in", "--json", "--output", str(tmp_path))
    assert code == 3
    [image] = json.loads(output)["images"]
    assert (image["engine"], image["scanned"]) == ("vllm", False)
    assert (tmp_path / "vllm.cdx.json").exists()


def test_an_image_that_was_not_built_is_reported_with_the_command_that_builds_it(images: Store) -> None:
    del images.images[image_name("vllm", Base.STAND_IN)]
    code, _, errors = run("--engine", "vllm", "--base", "stand-in")
    assert code == 3
    assert (
        "localhost/lora-serving/vllm:stand-in is not in buildah's store: run make images, with the same BASE"
        in errors
    )


def test_a_machine_without_a_builder_has_no_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> None:
        raise NoBuilder("nothing here builds images")

    monkeypatch.setattr(builders, "find_builder", none)
    code, _, errors = run()
    assert code == 3
    assert "nothing here builds images" in errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--engine", "tgi"], "--engine: tgi: use lorax or vllm"),
        (["--severity", "severe"], "--severity: severe: use low or medium or high or critical"),
        (["--scanner", "clair"], "--scanner: clair: use grype or trivy or pip-audit"),
        (["--base", "latest"], "--base: latest: use lock or stand-in"),
    ],
)
def test_an_unusable_argument_is_refused(arguments: list[str], message: str) -> None:
    code, _, errors = run(*arguments)
    assert code == 2
    assert message in errors
