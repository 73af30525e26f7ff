"""No real AWS account is ever used."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from laptop_cloud.aws_isolation import NotLoopback, clean_environment
from laptop_cloud.cloud import LaptopCloud

URL = "http://127.0.0.1:4566"
REAL = {
    "AWS_PROFILE": "production",
    "AWS_ACCESS_KEY_ID": "AKIAREAL",
    "AWS_SECRET_ACCESS_KEY": "real",
    "AWS_SESSION_TOKEN": "real",
    "AWS_ENDPOINT_URL_S3": "https://s3.amazonaws.com",
    "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/real",
    "AWS_WEB_IDENTITY_TOKEN_FILE": "/real",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://real",
    "AWS_CONFIG_FILE": "/home/me/.aws/config",
    "AWS_SHARED_CREDENTIALS_FILE": "/home/me/.aws/credentials",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
    "aws_profile": "production",
}


def test_no_real_variable_survives() -> None:
    clean = clean_environment({**REAL, "HOME": "/home/me"}, URL)
    assert clean["HOME"] == "/home/me"
    assert clean["AWS_ENDPOINT_URL"] == URL
    assert clean["AWS_ACCESS_KEY_ID"] == "000000000000"
    for name, value in REAL.items():
        assert clean.get(name) != value


def test_proxies_are_not_used_for_this_machine() -> None:
    clean = clean_environment({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "corp"}, URL)
    assert clean["NO_PROXY"] == clean["no_proxy"] == "corp,127.0.0.1,localhost"


@pytest.mark.parametrize(
    "url",
    ["https://sagemaker.us-east-1.amazonaws.com", "http://10.0.0.1:4566", "http://127.0.0.1.evil.com", ""],
)
def test_an_endpoint_outside_this_machine_is_refused(url: str) -> None:
    with pytest.raises(NotLoopback, match="is not on this machine"):
        clean_environment({}, url)


@pytest.mark.parametrize("url", ["http://localhost:1", "http://127.0.0.1:1", "http://[::1]:1"])
def test_an_endpoint_of_this_machine_is_accepted(url: str) -> None:
    assert clean_environment({}, url)["AWS_ENDPOINT_URL"] == url


def test_a_child_process_reaches_cloud_whatever_users_settings_are(
    cloud: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        **REAL,
        "HTTP_PROXY": "http://127.0.0.1:9",
        "http_proxy": "http://127.0.0.1:9",
    }.items():
        monkeypatch.setenv(name, value)
    program = "import boto3; print(boto3.client('sts').get_caller_identity()['Account'])"
    command = [sys.executable, "-c", program]
    said = subprocess.run(command, env=cloud.environment, capture_output=True, text=True, check=True)
    assert said.stdout == "000000000000\n"


def test_a_client_in_this_process_reaches_cloud_whatever_users_settings_are(
    cloud: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        **REAL,
        "HTTP_PROXY": "http://127.0.0.1:9",
        "http_proxy": "http://127.0.0.1:9",
    }.items():
        monkeypatch.setenv(name, value)
    assert cloud.client("sts").get_caller_identity()["Account"] == "000000000000"
    cloud.client("s3").list_buckets()
    cloud.client("sagemaker").list_endpoints()


def test_a_lambda_function_sees_none_of_the_users_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in REAL.items():
        monkeypatch.setenv(name, value)
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("index.py", "import os\ndef handler(event, context):\n    return dict(os.environ)\n")
    with LaptopCloud(tmp_path) as own:
        functions = own.client("lambda")
        functions.create_function(
            FunctionName="environment",
            Runtime="python3.11",
            Role="arn:aws:iam::000000000000:role/lambda",
            Handler="index.handler",
            Code={"ZipFile": code.getvalue()},
        )
        seen = json.load(functions.invoke(FunctionName="environment")["Payload"])
    assert seen["AWS_ENDPOINT_URL"] == own.url
    assert set(REAL.values()) & set(seen.values()) <= {"true"}
    assert "AWS_PROFILE" not in seen
