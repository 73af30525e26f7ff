"""pip-audit itself, which asks a service on loopback with the interface of OSV's."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from loraserve.images.scan.contents import ImageContents, NotScanned, read_contents
from loraserve.images.scan.pip_audit import PipAudit
from loraserve.images.scan.vulnerability import Severity
from loraserve.setup import isolated
from tests.harness.isolated import missing, programs
from tests.harness.ports import free_port
from tests.unit.loraserve.images.scan.saved_image import layer, python_package, store

#: The entry of urllib3's redirects in OSV, with a made-up version of the fix.
URLLIB3 = {
    "id": "GHSA-34jh-p97f-mpxf",
    "aliases": ["CVE-2024-37891"],
    "summary": "urllib3's Proxy-Authorization request header isn't stripped during cross-origin redirects",
    "schema_version": "1.6.0",
    "affected": [
        {
            "package": {"name": "urllib3", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.8.1"}]}],
        }
    ],
}


class Service:
    """An OSV service: entries by package name, and what it was asked."""

    def __init__(self) -> None:
        self.known: dict[str, Any] = {}
        self.asked: list[tuple[str, str]] = []
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                name = query["package"]["name"]
                service.asked.append((name, query["version"]))
                found = {"vulns": [service.known[name]]} if name in service.known else {}
                body = json.dumps(found).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1/query"


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    programs(isolated.AUDITOR)
    running = Service()
    thread = threading.Thread(target=running.server.serve_forever)
    thread.start()
    monkeypatch.setenv("PIP_AUDIT_OSV_URL", running.url)
    yield running
    running.server.shutdown()
    thread.join()
    running.server.server_close()


@pytest.fixture
def contents() -> ImageContents:
    images = store()
    # The second version of a package that another Python has, too, and a version that PyPI cannot have.
    more = {
        **python_package("urllib3", "1.26.20", "opt/conda/lib/python3.10/site-packages"),
        **python_package("odd", "1.0-final+dfsg", "opt/conda/lib/python3.10/site-packages"),
    }
    base = [layer(more), *images.images["base:1"]]
    images.images.update({"base:1": base, "image:1": [*base, images.images["image:1"][-1]]})
    return read_contents(images, "image:1", "base:1")


def test_the_environment_has_all_that_pip_audit_needs() -> None:
    assert missing(isolated.AUDITOR) == {}


def test_each_package_of_pypi_is_asked_for(service: Service, contents: ImageContents) -> None:
    result = PipAudit().scan(contents, "")
    assert sorted(service.asked) == [("pip", "23.0.1"), ("urllib3", "1.26.20"), ("urllib3", "2.8.0")]
    assert result.vulnerabilities == ()
    assert result.left_out == "3 packages of the base that OSV does not have under PyPI"


def test_a_known_vulnerability_is_found_in_each_version(service: Service, contents: ImageContents) -> None:
    service.known["urllib3"] = URLLIB3
    found = PipAudit().scan(contents, "").vulnerabilities
    assert {(one.package.version, one.fixed, one.added) for one in found} == {
        ("1.26.20", "2.8.1", False),
        ("2.8.0", "2.8.1", True),
    }
    assert {one.severity for one in found} == {Severity.UNKNOWN}


def test_a_service_that_does_not_answer_is_no_scan(
    contents: ImageContents, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs(isolated.AUDITOR)
    monkeypatch.setenv("PIP_AUDIT_OSV_URL", f"http://127.0.0.1:{free_port()}/v1/query")
    with pytest.raises(NotScanned, match="pip-audit got no answer from 127.0.0.1"):
        PipAudit().scan(contents, "")
