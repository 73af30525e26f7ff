"""The environment of the clients: missing packages are listed, and no request leaves this machine."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from laptop_cloud.cloud import LaptopCloud
from loraserve.setup import isolated
from tests.harness.isolated import missing
from tests.harness.outgoing_proxy import OutgoingProxy
from tests.local.clients.runner import Clients

#: The reasons are in requirements-clients.in.
LEFT_OUT = {
    "lorax-client": {"huggingface-hub"},
    "sagemaker-core": {
        "cloudpickle",
        "cryptography",
        "mock",
        "omegaconf",
        "paramiko",
        "protobuf",
        "pytz",
        "schema",
        "scipy",
        "smdebug-rulesconfig",
        "tblib",
    },
}


def test_every_clients_own_pins_are_kept_and_only_what_was_left_out_is_missing(clients: Clients) -> None:
    assert missing(isolated.CLIENTS) == LEFT_OUT


def test_a_client_that_wants_to_leave_this_machine_is_noticed(laptop: LaptopCloud, clients: Clients) -> None:
    leave = "import requests; requests.get('https://outside.invalid', timeout=5)"
    python = str(isolated.CLIENTS.folder / "bin" / "python")
    with OutgoingProxy() as outside:
        environment = clients.environment | outside.environment
        done = subprocess.run([python, "-c", leave], env=environment, capture_output=True, check=False)
    assert done.returncode != 0
    assert outside.asked == ["CONNECT outside.invalid:443 HTTP/1.0"]


def test_a_missing_environment_is_a_failure_that_says_what_to_do(
    laptop: LaptopCloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(isolated, "CLIENTS", replace(isolated.CLIENTS, folder=tmp_path))
    with (
        OutgoingProxy() as outside,
        pytest.raises(pytest.fail.Exception, match="python -m loraserve.setup tests"),
    ):
        Clients(laptop, tmp_path, outside)
