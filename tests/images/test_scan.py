"""Bills of materials of the built images, compared with what dpkg, Python and the requirements say."""

import importlib.metadata
import subprocess
from collections.abc import Iterator

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from loraserve.images.builders import Buildah
from loraserve.images.scan.contents import ImageContents, read_contents
from loraserve.images.scan.pip_audit import PROJECT
from loraserve.images.scan.sbom import sbom_text
from loraserve.images.stand_in.bases import stand_in_base
from stacks.project import ROOT
from tests.images.container import BuiltImage
from tests.unit.loraserve.images.scan.test_sbom import schema_errors

both = pytest.mark.parametrize("engine", ["vllm", "lorax"], scope="module")
#: Where the images' distributions of Python are.
FOLDERS = (
    "usr/lib/python3/dist-packages",
    "usr/local/lib/python3*/dist-packages",
    "opt/*/lib/python3*/site-packages",
)


@pytest.fixture(scope="module")
def contents(engine: str, image: BuiltImage, buildah: Buildah) -> ImageContents:
    return read_contents(buildah, image.reference, stand_in_base(engine, buildah))


def pins() -> Iterator[tuple[str, str]]:
    """Name and version of each of the gateway's packages."""
    for line in (ROOT / "container" / "gateway" / "requirements.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            requirement = Requirement(line.partition(" --hash")[0])
            yield canonicalize_name(requirement.name), str(requirement.specifier).removeprefix("==")


@both
def test_what_the_project_adds_is_itself_and_the_pinned_packages(contents: ImageContents) -> None:
    added = {
        (canonicalize_name(found.name), found.version) for found in contents.added() if found.kind == "pypi"
    }
    assert added == {*pins(), (PROJECT, importlib.metadata.version(PROJECT))}
    assert {found.kind for found in contents.added()} <= {"pypi", "generic"}


@both
def test_debians_packages_are_those_of_dpkg(image: BuiltImage, contents: ImageContents) -> None:
    command = ["dpkg-query", "--admindir", str(image.root / "var/lib/dpkg"), "--show"]
    done = subprocess.run(
        [
            *command,
            "--showformat",
            "${db:Status-Status} ${Package} ${Version} ${source:Package} ${source:Version}\n",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    expected = {
        (name, version, (source, source_version))
        for status, name, version, source, source_version in map(str.split, done.stdout.splitlines())
        if status == "installed"
    }
    found = {
        (package.name, package.version, package.source or (package.name, package.version))
        for package in contents.packages
        if package.kind == "deb"
    }
    assert found == expected
    assert len(found) > 50


@both
def test_pythons_packages_are_those_that_python_finds(image: BuiltImage, contents: ImageContents) -> None:
    folders = [str(folder) for pattern in FOLDERS for folder in image.root.glob(pattern)]
    expected = {(found.name, found.version) for found in importlib.metadata.distributions(path=folders)}
    assert {(found.name, found.version) for found in contents.packages if found.kind == "pypi"} == expected


@both
def test_the_bill_of_materials_is_valid_and_the_same_each_time(
    engine: str, image: BuiltImage, contents: ImageContents, buildah: Buildah
) -> None:
    text = sbom_text(contents)
    assert schema_errors(text) == []
    assert sbom_text(read_contents(buildah, image.reference, stand_in_base(engine, buildah))) == text
