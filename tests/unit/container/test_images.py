"""The images cannot be built here, so their build files are held to what SageMaker and the engines need."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from setuptools import find_packages

ROOT = Path(__file__).parents[3]
ENGINES = ("vllm", "lorax")
PIN = re.compile(r"^[a-z0-9-]+==[^\s]+$")


def instructions(engine: str) -> list[tuple[str, str]]:
    text = (ROOT / "container" / engine / "Dockerfile").read_text()
    text = re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    pairs = (line.partition(" ") for line in text.splitlines() if line.strip())
    return [(word, " ".join(rest.split())) for word, _, rest in pairs]


def pins(*files: str) -> set[str]:
    lines = (line for file in files for line in (ROOT / file).read_text().splitlines())
    return {line for line in lines if PIN.match(line)}


@pytest.mark.parametrize("engine", ENGINES)
def test_base_image_has_a_fixed_default_and_can_be_given_by_digest(engine: str) -> None:
    (argument, default), (source, image) = instructions(engine)[:2]
    name, _, tag = default.partition("=")
    assert (argument, source) == ("ARG", "FROM")
    assert image == f"${{{name}}}"
    assert re.search(r":v?\d+\.\d+\.\d+$", tag)


@pytest.mark.parametrize(("engine", "module"), [("vllm", "container.vllm"), ("lorax", "container.lorax")])
def test_the_entry_point_is_the_gateway_in_exec_form(engine: str, module: str) -> None:
    words = [value for word, value in instructions(engine) if word in ("ENTRYPOINT", "CMD")]
    assert len(words) == 1
    command = json.loads(words[0])
    assert command[1:] == ["-m", module]
    assert (ROOT / module.replace(".", "/") / "__main__.py").is_file()


@pytest.mark.parametrize("engine", ENGINES)
def test_everything_copied_exists_in_the_repository(engine: str) -> None:
    sources = [value.split()[0] for word, value in instructions(engine) if word == "COPY"]
    assert {"pyproject.toml", "adapters/", "container/"} <= set(sources)
    assert all((ROOT / source).exists() for source in sources)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_image_runs_as_the_platform_expects(engine: str) -> None:
    assert ("EXPOSE", "8080") in instructions(engine)
    assert "USER" not in {word for word, _ in instructions(engine)}


def test_lorax_keeps_its_own_packages() -> None:
    installs = [value for word, value in instructions("lorax") if word == "RUN" and " pip " in value]
    assert installs
    for install in installs:
        assert "/opt/gateway" in install
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
