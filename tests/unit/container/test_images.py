"""The images' build files, held to what SageMaker and the engines need; tests/images builds the images."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from setuptools import find_packages

from tests.harness.image_files import GENERATORS

ROOT = Path(__file__).parents[3]
ENGINES = ("vllm", "lorax")
PIN = re.compile(r"^[a-z0-9-]+==[^\s]+(?= --hash=|$)")
#: Files outside of adapters/, container/gateway/ and container/<engine>/ that a build needs.
SINGLE_FILES = ("pyproject.toml", "container/__init__.py", "container/build-requirements.txt")


def instructions(engine: str) -> list[tuple[str, str]]:
    text = (ROOT / "container" / engine / "Dockerfile").read_text()
    text = re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    pairs = (line.partition(" ") for line in text.splitlines() if line.strip())
    return [(word, " ".join(rest.split())) for word, _, rest in pairs]


def pins(*files: str) -> set[str]:
    lines = (line for file in files for line in (ROOT / file).read_text().splitlines())
    return {found[0] for line in lines if (found := PIN.match(line))}


@pytest.mark.parametrize("engine", ENGINES)
def test_base_image_has_a_fixed_default_and_can_be_given_by_digest(engine: str) -> None:
    (argument, default) = instructions(engine)[0]
    name, _, tag = default.partition("=")
    assert argument == "ARG"
    stages = [value for word, value in instructions(engine) if word == "FROM"]
    assert stages[-1] == f"${{{name}}}"
    assert [stage.partition(" AS ")[0] for stage in stages] == [f"${{{name}}}"] * 2
    assert re.search(r":v?\d+\.\d+\.\d+$", tag)


@pytest.mark.parametrize(("engine", "module"), [("vllm", "container.vllm"), ("lorax", "container.lorax")])
def test_the_entry_point_is_the_gateway_in_exec_form(engine: str, module: str) -> None:
    words = [value for word, value in instructions(engine) if word in ("ENTRYPOINT", "CMD")]
    assert len(words) == 1
    command = json.loads(words[0])
    assert command[1:] == ["-m", module]
    assert (ROOT / module.replace(".", "/") / "__main__.py").is_file()


@pytest.mark.parametrize("engine", ENGINES)
def test_the_list_of_files_is_dockerfile_dockerignore_alone(engine: str) -> None:
    copied = [value for word, value in instructions(engine) if word == "COPY" and "--from" not in value]
    assert copied == [". /source"]
    assert not (ROOT / ".dockerignore").exists()
    lines = (ROOT / "container" / engine / "Dockerfile.dockerignore").read_text().splitlines()
    rules = [line for line in lines if not line.startswith("#")]
    included = [rule.removeprefix("!") for rule in rules if rule.startswith("!")]
    generators = [path for path in GENERATORS if path.startswith(f"container/{engine}/")]
    assert rules == ["*", *(f"!{path}" for path in included), "**/__pycache__", "**/*.pyc", *generators]
    assert all(list(ROOT.glob(path)) for path in generators)
    assert set(included) == {*SINGLE_FILES, "adapters", "container/gateway", f"container/{engine}"}
    assert all((ROOT / path).exists() for path in included)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_image_gets_one_layer_without_network(engine: str) -> None:
    last = [number for number, (word, _) in enumerate(instructions(engine)) if word == "FROM"][-1]
    layers = [value for word, value in instructions(engine)[last:] if word in ("RUN", "COPY", "ADD")]
    assert len(layers) == 1
    assert all("--no-index" in install for install in layers[0].split(" && ") if " install " in install)


@pytest.mark.parametrize("engine", ENGINES)
def test_packages_are_installed_by_their_hashes_and_no_secret_is_an_argument(engine: str) -> None:
    text = " ".join(value for word, value in instructions(engine) if word == "RUN")
    for install in re.findall(r"pip (?:--python \S+ )?(?:install|wheel) [^&]*", text):
        assert (
            "--require-hashes" in install or "gateway.txt" in install or "--no-build-isolation ." in install
        )
    for word, value in instructions(engine):
        assert word not in ("ARG", "ENV") or "PIP_" not in value


def test_the_wheel_is_built_by_the_setuptools_that_pyproject_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert set(project["build-system"]["requires"]) <= pins("container/build-requirements.txt")
    assert pins("container/build-requirements.txt") & pins("requirements-dev.txt")  # uv


@pytest.mark.parametrize("engine", ENGINES)
def test_the_image_runs_as_the_platform_expects(engine: str) -> None:
    assert ("EXPOSE", "8080") in instructions(engine)
    assert "USER" not in {word for word, _ in instructions(engine)}


def test_lorax_keeps_its_own_packages() -> None:
    last = [number for number, (word, _) in enumerate(instructions("lorax")) if word == "FROM"][-1]
    added = [value for word, value in instructions("lorax")[last:] if word in ("RUN", "COPY", "ADD")]
    assert added == ["--from=gateway /opt/gateway /opt/gateway"]
    assert json.loads(dict(instructions("lorax"))["ENTRYPOINT"])[0] == "/opt/gateway/bin/python"


def change_is_found(folder: Path) -> int:
    """Run the Dockerfile's check of LoRAX's Python with LoRAX's package in `folder`; return the exit code."""
    found = [value for word, value in instructions("lorax") if word == "RUN" and "lorax_server" in value]
    assert len(found) == 1
    command = re.sub(r"/opt/(gateway|conda)/bin/python", sys.executable, found[0])
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(folder)}
    return subprocess.run(["sh", "-c", command], cwd=ROOT, env=environment, check=False).returncode


def test_a_build_proves_that_loraxs_python_finds_our_change(tmp_path: Path) -> None:
    assert change_is_found(tmp_path) != 0
    (tmp_path / "lorax_server").mkdir()
    # On a machine without a GPU it cannot be imported.
    (tmp_path / "lorax_server" / "server.py").write_text("raise ImportError('libcuda.so.1')")
    assert change_is_found(tmp_path) == 0
    sabotage = "import sys; sys.meta_path.pop(0)"
    (tmp_path / "sitecustomize.py").write_text(sabotage)
    assert change_is_found(tmp_path) != 0


def test_the_change_to_lorax_is_in_the_installed_package() -> None:
    assert "container.lorax.shard" in find_packages(str(ROOT), include=["container*"])


def test_the_gateway_runs_on_the_versions_that_are_tested_here() -> None:
    gateway = pins("container/gateway/requirements.txt")
    assert {pin.split("==")[0] for pin in gateway} >= {"aiohttp", "boto3", "botocore", "pydantic"}
    assert gateway <= pins("requirements.txt", "requirements-local.txt")


def lint(*files: Path) -> subprocess.CompletedProcess[str]:
    """As `make check` does."""
    hadolint = Path(sys.prefix) / "bin" / "hadolint"
    return subprocess.run([hadolint, *files], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("line", "rule"),
    [("RUN cd /tmp && make", "DL3003"), ("CMD serve", "DL3025"), ('RUN echo "`date`"', "SC2006")],
)
def test_check_of_dockerfiles_fails_on_mistakes_and_on_style(tmp_path: Path, line: str, rule: str) -> None:
    mistaken = tmp_path / "Dockerfile"
    mistaken.write_text(f"FROM ubuntu:24.04\n{line}\n")
    done = lint(ROOT / "container" / "lorax" / "Dockerfile", mistaken)
    assert done.returncode == 1
    assert f"{mistaken}:2 {rule} " in done.stdout
    assert len(done.stdout.splitlines()) == 1


def test_the_pinned_uv_has_the_gateways_python_for_loraxs_image() -> None:
    (version,) = (
        value.partition("=")[2]
        for word, value in instructions("lorax")
        if word == "ARG" and value.startswith("PYTHON_VERSION=")
    )
    uv = [
        Path(sys.prefix) / "bin" / "uv",
        "python",
        "list",
        "--only-downloads",
        "--all-versions",
        "--offline",
    ]
    listed = subprocess.run([*uv, "--no-config"], capture_output=True, text=True, check=True).stdout
    assert f"cpython-{version}-linux-x86_64-gnu " in listed
