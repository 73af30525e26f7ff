"""The images that the Dockerfiles give on the stand-ins: their files, their layers, their imports."""

import ast
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from pathlib import Path

import aws_cdk as cdk
import psutil  # type: ignore[import-untyped]
import pytest
from packaging.utils import canonicalize_name

from loraserve.images.build import Base, describe
from loraserve.images.builders import Buildah
from loraserve.images.machine import build_secrets
from loraserve.images.stand_in.bases import stand_in_arguments, stand_in_base
from loraserve.requirements import HASHED
from stacks.config.base_images import BaseImage, build_argument
from stacks.project import ROOT
from stacks.serving.image import BuiltImage as BuiltAsset
from tests.harness.image_files import GENERATORS
from tests.harness.waiting import wait_until
from tests.images.container import TAG, BuiltImage

both = pytest.mark.parametrize("engine", ["vllm", "lorax"], scope="module")
PYTHON = {"vllm": "/usr/bin/python3", "lorax": "/opt/gateway/bin/python"}
#: Files of the added layers that are of no distribution: LoRAX's image gets a virtual environment.
OF_NO_DISTRIBUTION = {
    "vllm": (),
    "lorax": (
        *(f"opt/gateway/bin/{name}" for name in ("python", "python3", "python3.11")),
        *("opt/gateway/pyvenv.cfg", "opt/gateway/lib64"),
    ),
}
DISTRIBUTIONS = "import importlib.metadata as m, json; print(json.dumps({d.name: [str(d.locate_file(f).resolve()) for f in d.files or ()] for d in m.distributions()}))"  # fmt: skip


def added_members(buildah: Buildah, engine: str, image: str) -> Iterator[tarfile.TarInfo]:
    """The members of the layers on top of the base."""
    above = buildah.layers_above(image, stand_in_base(engine, buildah))
    assert above is not None
    added = [digest.removeprefix("sha256:") for digest in above]
    with buildah.save(image) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
        for member in archive:
            if any(name in member.name for name in added) and member.isreg():
                with tarfile.open(fileobj=archive.extractfile(member), mode="r|") as layer:
                    yield from layer


def inside(image: BuiltImage, script: str, *arguments: str) -> str:
    """Run Python in the image's root file system, isolated from this environment."""
    command = [
        str(shutil.which("chroot")),
        str(image.root),
        PYTHON[image.engine],
        "-I",
        "-B",
        "-c",
        script,
        *arguments,
    ]
    done = subprocess.run(command, env={}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def installed_files(image: BuiltImage) -> dict[str, list[str]]:
    """The files of each distribution that the gateway's Python finds."""
    found: dict[str, list[str]] = json.loads(inside(image, DISTRIBUTIONS))
    return {canonicalize_name(name): files for name, files in found.items()}


def pinned(file: str) -> set[str]:
    lines = (ROOT / file).read_text().splitlines()
    return {line.partition("==")[0] for line in lines if "==" in line}


@both
def test_each_added_file_is_of_a_pinned_distribution_or_of_ours(
    buildah: Buildah, engine: str, image: BuiltImage
) -> None:
    members = list(added_members(buildah, engine, image.reference))
    files = {member.name for member in members if not member.isdir()}
    installed = installed_files(image)
    ours = {*pinned("container/gateway/requirements.txt"), "lora-serving-sagemaker"}
    owned = {file.removeprefix("/") for name in ours for file in installed[name]}

    assert files - owned == set(OF_NO_DISTRIBUTION[engine])
    assert len(files) > 1000
    # Nothing that a distribution names is missing, and nothing of the base is removed.
    assert owned - files == set()
    assert not any(Path(name).name.startswith(".wh.") for name in files)
    assert {member.mtime for member in members} == {0}
    assert {(member.uid, member.gid) for member in members} == {(0, 0)}


@both
def test_our_package_in_the_image_is_what_the_repository_has(engine: str, image: BuiltImage) -> None:
    installed = installed_files(image)["lora-serving-sagemaker"]
    modules = {"/".join(Path(file).parts[-1 - depth(file) :]) for file in installed if file.endswith(".py")}
    shipped = tracked("adapters", "container/__init__.py", "container/gateway", f"container/{engine}")
    assert modules == {file for file in shipped if file.endswith(".py")}


def tracked(*paths: str) -> set[str]:
    """Return the files of git below the paths, without the generators, which no image has."""
    generators = [f":!{path}" for path in GENERATORS]
    listed = subprocess.run(
        ["git", "ls-files", *paths, *generators], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return set(listed.stdout.splitlines())


def depth(file: str) -> int:
    """Number of folders between a module and the packages' folder."""
    parts = Path(file).parts
    return (
        len(parts) - 2 - next(i for i, part in enumerate(parts) if part in {"dist-packages", "site-packages"})
    )


@both
def test_no_build_tool_cache_or_secret_is_added(buildah: Buildah, engine: str, image: BuiltImage) -> None:
    names = [member.name for member in added_members(buildah, engine, image.reference)]
    refused = (
        "*/pip/*",
        "*/uv",
        "*/uv/*",
        "*setuptools*",
        "root/*",
        "*.cache*",
        "run/secrets*",
        "*.whl",
        "source/*",
    )
    assert [name for name in names for pattern in refused if fnmatch(name, pattern)] == []
    document = json.dumps(image.config.__dict__, default=str)
    for word in ("PIP_", "SSL_CERT_FILE", "PROXY", "proxy", "build.env=", "http"):
        assert word not in document


@both
def test_the_entry_point_is_the_gateway_and_the_bases_command_is_gone(
    buildah: Buildah, engine: str, built: Callable[[str], str]
) -> None:
    config = buildah.config(built(engine))
    assert config["Entrypoint"][1:] == ["-m", f"container.{engine}"]
    assert not config["Cmd"]
    base = buildah.config(stand_in_base(engine, buildah))
    assert config["WorkingDir"] == base["WorkingDir"]
    assert {line.partition("=")[0] for line in base["Env"]} <= {
        line.partition("=")[0] for line in config["Env"]
    }


@both
def test_the_image_has_one_layer_more_than_its_base(
    buildah: Buildah, engine: str, built: Callable[[str], str]
) -> None:
    found = describe(engine, base=Base.STAND_IN, builder=buildah, image=built(engine))
    (layer,) = found.layers
    assert layer.diff_id == buildah.diff_ids(built(engine))[-1]
    assert 10 << 20 < layer.compressed < layer.unpacked < 80 << 20
    assert 100 << 20 < found.base_bytes < 200 << 20


#: What vLLM's base image has and its stand-in lacks.
ENGINE_PACKAGES = {"vllm", "torch"}
IMPORT_ALL = """
import importlib, json, pkgutil, sys
failed, found = {}, []
for package in ("adapters", "container"):
    for module in pkgutil.walk_packages(importlib.import_module(package).__path__, package + "."):
        found.append(module.name)
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            failed[module.name] = error.name
print(json.dumps([found, failed]))
"""


@both
def test_every_module_imports_with_the_images_packages_alone(engine: str, image: BuiltImage) -> None:
    found, failed = json.loads(inside(image, IMPORT_ALL).splitlines()[-1])
    assert f"container.{engine}.__main__" in found
    assert len(found) > 60
    # Modules that run inside the engine's process import its packages; the stand-in does not have them.
    inside_the_engine = {name for name in found if name.startswith("container.vllm") and imports_engine(name)}
    assert set(failed) == inside_the_engine
    assert {name.partition(".")[0] for name in failed.values()} <= ENGINE_PACKAGES


def imports_engine(module: str) -> bool:
    """Return whether the module imports the engine or its tensors, itself or through one of ours."""
    path = ROOT / Path(*module.split("."))
    file = path.with_suffix(".py") if path.with_suffix(".py").is_file() else path / "__init__.py"
    names = [
        name
        for node in ast.parse(file.read_text()).body
        for name in (
            [alias.name for alias in node.names] if isinstance(node, ast.Import)
            else [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        )
    ]  # fmt: skip
    return any(
        name.partition(".")[0] in ENGINE_PACKAGES
        or (name.startswith("container.vllm.") and imports_engine(name))
        for name in names
    )


def staged(engine: str, folder: Path) -> Path:
    """The folder that CDK stages for the engine's image."""
    app = cdk.App(outdir=str(folder))
    stack = cdk.Stack(app, "Images")
    base = BaseImage(repository="docker.io/vllm/vllm-openai", tag="v1", digest=None)
    BuiltAsset(stack, "Image", engine=engine, base=base)
    app.synth()
    (found,) = (path for path in folder.glob("asset.*") if path.is_dir())
    return found


@contextlib.contextmanager
def marked_base(engine: str, buildah: Buildah, folder: Path) -> Iterator[str]:
    """The engine's stand-in with Debian's marker, with which pip refuses to install (PEP 668)."""
    image = f"localhost/lora-serving-tests/marked-{engine}:{TAG}"
    (folder / "Dockerfile").write_text(
        f"FROM {stand_in_base(engine, buildah)}\n"
        "RUN echo '[externally-managed]' > /usr/lib/python3.11/EXTERNALLY-MANAGED\n"
    )
    buildah.build(dockerfile=folder / "Dockerfile", context=folder, tag=image)
    try:
        yield image
    finally:
        buildah.remove(image)


@both
def test_cdks_asset_has_the_builds_files_and_gives_the_same_layer(
    buildah: Buildah, engine: str, built: Callable[[str], str], tmp_path: Path
) -> None:
    asset = staged(engine, tmp_path / "cdk.out")
    files = {path.relative_to(asset).as_posix() for path in asset.rglob("*") if path.is_file()}
    assert files == tracked(
        *("pyproject.toml", "adapters", "container/__init__.py", "container/build-requirements.txt"),
        *("container/gateway", f"container/{engine}"),
    )

    # Another checkout: a stricter umask and other times.
    for path in [asset, *asset.rglob("*")]:
        path.chmod(0o700 if path.is_dir() else 0o600)
        os.utime(path, (1_000_000_000, 1_000_000_000))
    image = f"localhost/lora-serving-tests/asset-{engine}:{TAG}"
    with marked_base(engine, buildah, tmp_path) as base, build_secrets() as secrets:
        buildah.build(
            dockerfile=asset / "container" / engine / "Dockerfile", context=asset, tag=image, secrets=secrets,
            build_args=stand_in_arguments(engine, buildah) | {build_argument(engine): base},
        )  # fmt: skip
        try:
            assert buildah.diff_ids(image)[-1] == buildah.diff_ids(built(engine))[-1]
        finally:
            buildah.remove(image)


BUILD = """
import sys
from pathlib import Path
from loraserve.images.builders import Buildah
folder = Path(sys.argv[1])
Buildah("buildah").build(dockerfile=folder / "Dockerfile", context=folder, tag=sys.argv[2])
"""


def test_an_interrupted_build_leaves_no_container_process_or_file(buildah: Buildah, tmp_path: Path) -> None:
    base, temporary = f"localhost/lora-serving-tests/interrupted-{TAG}:1", tmp_path / "tmp"
    temporary.mkdir()
    (tmp_path / "Dockerfile").write_text(f"FROM {base} AS one\nCOPY Dockerfile /\nRUN sleep 4321\n")
    buildah.tag(stand_in_base("lorax", buildah), base)
    process = subprocess.Popen(
        [sys.executable, "-c", BUILD, str(tmp_path), "localhost/lora-serving-tests/never:1"],
        cwd=ROOT, env={**os.environ, "TMPDIR": str(temporary)}, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_until(lambda: sleeping(process.pid), "the build's RUN sleeps", 60)
        started = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        before = time.monotonic()
        assert process.wait(60) != 0
        assert time.monotonic() - before < 20
        assert [
            child for child in started if child.is_running() and child.status() != psutil.STATUS_ZOMBIE
        ] == []
        names = subprocess.run(
            ["buildah", "containers", "--format", "{{.ContainerName}}"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert f"interrupted-{TAG}" not in names.stdout
        assert list(temporary.iterdir()) == []
    finally:
        process.kill()
        buildah.remove(base)


def sleeping(pid: int) -> bool:
    with contextlib.suppress(psutil.Error):
        children = psutil.Process(pid).children(recursive=True)
        return any("4321" in child.cmdline() for child in children)
    return False


def test_hashes_are_those_of_the_wheels_that_the_images_take() -> None:
    assert {"container/gateway/requirements.txt", "container/build-requirements.txt"} <= set(HASHED)
