"""`pin-images` against a registry on loopback: the locked digests, and that no fault changes the lock."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from loraserve.__main__ import app
from stacks.config.base_images import BaseImage, lock_text, read_lock
from tests.unit.loraserve.images.oci_registry import OciRegistry, digest_of, index

LORAX, VLLM = index("linux/arm64", "linux/amd64"), index("linux/amd64")
#: What `docker push` makes without buildx: one image, which does not say for which platform it is.
SINGLE = b'{"schemaVersion": 2, "config": {}, "layers": []}'
TAG = "/v2/predibase/lorax/manifests/0.12.1"
BY_DIGEST = "GET /v2/predibase/lorax/manifests/sha256:"


@pytest.fixture
def registry() -> Iterator[OciRegistry]:
    with OciRegistry({"predibase/lorax:0.12.1": LORAX, "vllm/vllm-openai:v0.32.0": VLLM}) as running:
        yield running


@pytest.fixture
def lock(registry: OciRegistry, tmp_path: Path) -> Path:
    return write_lock(tmp_path, registry.host)


def write_lock(folder: Path, host: str, **digests: str) -> Path:
    images = {
        "lorax": BaseImage(repository=f"{host}/predibase/lorax", tag="0.12.1", digest=digests.get("lorax")),
        "vllm": BaseImage(repository=f"{host}/vllm/vllm-openai", tag="v0.32.0", digest=digests.get("vllm")),
    }
    path = folder / "images.lock"
    path.write_text(lock_text(images))
    return path


def pin(lock: Path, *options: str) -> Result:
    return CliRunner().invoke(app, ["pin-images", "--lock", str(lock), *options])


def refused(lock: Path) -> str:
    """Return the one line that reports a fault; the lock has not changed."""
    before = lock.read_bytes()
    done = pin(lock)
    assert (done.exit_code, done.stdout) == (1, "")
    assert lock.read_bytes() == before
    assert [path.name for path in lock.parent.iterdir()] == [lock.name]
    (line,) = done.stderr.splitlines()
    return line.removeprefix("✗ ")


def test_each_tag_is_locked_to_the_digest_of_its_manifest(lock: Path) -> None:
    done = pin(lock)
    assert done.exit_code == 0, done.output
    assert {engine: image.digest for engine, image in read_lock(lock).items()} == {
        "lorax": digest_of(LORAX), "vllm": digest_of(VLLM),
    }  # fmt: skip
    head, lorax, vllm = done.stdout.splitlines()
    assert head.split() == ["engine", "image", "tag", "digest", "changed"]
    assert lorax.split()[2:] == ["0.12.1", f"{digest_of(LORAX)[:19]}…", "yes,", "there", "was", "none"]
    assert vllm.startswith("vllm ")
    assert "is written: commit it" in done.stderr


def test_a_token_is_fetched_where_registry_says_and_manifest_by_its_digest(
    registry: OciRegistry, lock: Path
) -> None:
    pin(lock)
    scope = "repository%3Apredibase%2Florax%3Apull"
    assert registry.asked()[:4] == [
        f"HEAD {TAG}",
        f"GET /token?service=test+registry&scope={scope}",
        f"HEAD {TAG}",
        f"GET /v2/predibase/lorax/manifests/{digest_of(LORAX)}",
    ]
    accepted = registry.requests[0].headers["accept"].split(", ")
    assert "application/vnd.oci.image.index.v1+json" in accepted
    assert "application/vnd.docker.distribution.manifest.list.v2+json" in accepted
    assert "authorization" not in registry.requests[1].headers


def test_a_registry_that_wants_no_token_and_a_single_image_are_fine(
    registry: OciRegistry, lock: Path
) -> None:
    told = {"Docker-Content-Digest": digest_of(SINGLE)}
    registry.answers = {f"{method} /v2/predibase": (200, told, SINGLE) for method in ("HEAD", "GET")}
    assert pin(lock).exit_code == 0
    assert read_lock(lock)["lorax"].digest == digest_of(SINGLE)


def test_what_is_locked_already_is_asked_for_but_not_fetched_or_written(
    registry: OciRegistry, tmp_path: Path
) -> None:
    lock = write_lock(tmp_path, registry.host, lorax=digest_of(LORAX), vllm=digest_of(VLLM))
    before = lock.stat()
    done = pin(lock)
    assert done.exit_code == 0
    assert [line.split()[-1] for line in done.stdout.splitlines()] == ["changed", "no", "no"]
    assert "is up to date" in done.stderr
    assert {line.split()[0] for line in registry.asked() if "/token" not in line} == {"HEAD"}
    assert (lock.stat().st_ino, lock.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_tag_that_has_been_moved_is_reported_and_locked_anew(registry: OciRegistry, tmp_path: Path) -> None:
    was = digest_of(b"the image of last month")
    lock = write_lock(tmp_path, registry.host, lorax=was, vllm=digest_of(VLLM))
    assert f"yes, was {was[:19]}…" in pin(lock).stdout
    assert read_lock(lock)["lorax"].digest == digest_of(LORAX)


def test_a_check_writes_nothing_and_fails_until_lock_is_right(registry: OciRegistry, lock: Path) -> None:
    before = lock.read_bytes()
    done = pin(lock, "--check")
    assert (done.exit_code, lock.read_bytes()) == (1, before)
    assert "is not what the registries say: run make pin-images" in done.stderr
    assert pin(lock).exit_code == 0
    assert pin(lock, "--check").exit_code == 0
    registry.tags["vllm/vllm-openai:v0.32.0"] = index("linux/amd64", "linux/arm64")
    assert pin(lock, "--check").exit_code == 1


@pytest.mark.parametrize(("options", "exit_code"), [((), 0), (("--check",), 1)])
def test_programs_get_one_document(lock: Path, options: tuple[str, ...], exit_code: int) -> None:
    done = pin(lock, "--json", *options)
    assert done.exit_code == exit_code
    document: dict[str, Any] = json.loads(done.stdout)
    assert document["lock"] == str(lock)
    lorax = document["images"][0]
    assert (lorax["engine"], lorax["tag"], lorax["change"]) == ("lorax", "0.12.1", "new")
    assert (lorax["locked"], lorax["digest"]) == (None, digest_of(LORAX))


def test_a_tag_that_is_not_there_is_named(registry: OciRegistry, lock: Path) -> None:
    del registry.tags["vllm/vllm-openai:v0.32.0"]
    # The other image was found: nothing of it is written.
    assert f"{registry.host}/vllm/vllm-openai has no tag v0.32.0: correct it in" in refused(lock)


@pytest.mark.parametrize(
    ("headers", "when"),
    [
        ({"Retry-After": "3600"}, "in 3600 s"),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, "later"),
        ({}, "later"),
    ],
)
def test_a_registry_that_limits_requests_is_not_waited_for(
    registry: OciRegistry, lock: Path, headers: dict[str, str], when: str
) -> None:
    registry.answers[BY_DIGEST] = (429, headers, b"")
    assert refused(lock).endswith(f"has been asked too often from here: try again {when}")


def test_a_digest_that_is_not_that_of_the_manifest_is_refused(registry: OciRegistry, lock: Path) -> None:
    other = index("linux/amd64", "windows/amd64")
    registry.answers[BY_DIGEST] = (200, {"Docker-Content-Digest": digest_of(LORAX)}, other)
    line = refused(lock)
    assert f"0.12.1 is {digest_of(LORAX)}, but what it sends is {digest_of(other)}: do not use it" in line


@pytest.mark.parametrize(
    ("asked", "answer", "told"),
    [
        (f"HEAD {TAG}", (200, {}, b""), "answers with the digest '': check that container/images.lock names a registry"),
        (f"HEAD {TAG}", (200, {"Docker-Content-Digest": "md5:0"}, b""), "the digest 'md5:0'"),
        (f"HEAD {TAG}", (200, {"Docker-Content-Digest": digest_of(b"<html>")}, b""), "has no tag sha256:"),
        (f"HEAD {TAG}", (503, {"Retry-After": "600"}, b""), "answers with status 503: try again later"),
        (f"HEAD {TAG}", (307, {"Location": "http://127.0.0.1/"}, b""), "answers with status 307"),
        (f"HEAD {TAG}", (401, {"WWW-Authenticate": 'Basic realm="r"'}, b""), "is not there or not public"),
        (f"HEAD {TAG}", (401, {}, b""), "is not there or not public (status 401)"),
        (
            f"HEAD {TAG}",
            (401, {"WWW-Authenticate": 'Bearer realm="http://127.0.0.1.example.org/token"'}, b""),
            "is not there or not public",
        ),
        ("GET /token", (403, {}, b""), "is not there or not public (status 403): correct it in"),
        ("GET /token", (200, {}, b"[]"), "is not there or not public"),
        ("GET /token", (200, {}, b'{"access_token": "of somebody else"}'), "is not there or not public (status 401)"),
        ("GET /token", (404, {}, b""), "has no token service where it says"),
        (BY_DIGEST, (200, {}, b" " * (4 * 1024 * 1024 + 1)), "sends more than a manifest"),
        (BY_DIGEST, (200, {"Content-Length": "9999"}, LORAX), "does not answer (IncompleteRead"),
    ],
)  # fmt: skip
def test_other_faults_are_one_line_and_change_nothing(
    registry: OciRegistry, lock: Path, asked: str, answer: tuple[int, dict[str, str], bytes], told: str
) -> None:
    registry.answers[asked] = answer
    assert told in refused(lock)


@pytest.mark.parametrize(
    ("manifest", "told"),
    [
        (index("linux/arm64"), "is not there for linux/amd64"),
        (b'{"schemaVersion": 2, "manifests": [null, {"platform": "linux"}]}', "is not there for linux/amd64"),
        (b'{"schemaVersion": 1, "fsLayers": []}', "sends no manifest of images"),
        (b"<html>Please log in</html>", "sends no manifest of images"),
        (b"[]", "sends no manifest of images"),
    ],
)
def test_an_image_that_sagemaker_could_not_run_is_not_locked(
    registry: OciRegistry, lock: Path, manifest: bytes, told: str
) -> None:
    registry.tags["predibase/lorax:0.12.1"] = manifest
    assert told in refused(lock)


def test_without_a_server_the_network_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{taken.getsockname()[1]}"
        line = refused(write_lock(tmp_path, host))
    assert line.startswith(f"{host} does not answer ([Errno 111] Connection refused): check the network")


def test_environments_proxy_is_asked_for_dockers_registry_by_its_network_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with OciRegistry(answers={"CONNECT": (407, {}, b"")}) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy.host}")
        monkeypatch.setenv("NO_PROXY", "")
        line = refused(write_lock(tmp_path, "docker.io"))
        assert set(proxy.asked()) == {"CONNECT registry-1.docker.io:443"}
    assert line.startswith("registry-1.docker.io does not answer (")
    assert "407" in line


def test_a_lock_that_cannot_be_written_is_reported(lock: Path) -> None:
    before = lock.read_bytes()
    lock.with_name("images.lock.new").mkdir()
    done = pin(lock)
    assert (done.exit_code, lock.read_bytes()) == (1, before)
    assert (
        "images.lock cannot be written (Is a directory): it is as it was; check its permissions"
        in done.stderr
    )


def test_a_lock_that_cannot_be_read_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "images.lock"
    path.write_text("{")
    done = pin(path)
    assert done.exit_code == 2
    assert done.stderr.startswith(f"✗ {path}: it is not JSON")
