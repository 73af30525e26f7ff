import boto3
import pytest
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import NoCredentialsError

from benchmarks.null_endpoint import NullBehavior, signature_error
from loraserve.load.job import Target
from loraserve.load.result import LoadOutcome
from loraserve.load.signing import RequestWriter, endpoint_target, find_credentials
from tests.unit.loraserve.load.generated_load import REGION, STREAM, WHOLE, job, null_server, send, workload

KEYS = ReadOnlyCredentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", None)
SESSION_KEYS = KEYS._replace(token="IQoJb3JpZ2luX2VjE/+=")


def parsed(wire: bytes) -> tuple[str, dict[str, str], bytes]:
    head, _, body = wire.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return first.split(" ")[1], headers, body


@pytest.mark.parametrize("keys", [KEYS, SESSION_KEYS], ids=["user", "session"])
@pytest.mark.parametrize(
    "path",
    [WHOLE, STREAM, "/base%2Fpath/endpoints/a%20b%25/invocations", "/endpoints/e/invocations?x=1&a=%2F"],
)
@pytest.mark.parametrize(
    "host", ["http://127.0.0.1:8090", "https://runtime.sagemaker.eu-central-1.amazonaws.com"]
)
def test_a_new_signer_of_botocore_gets_the_same_signature(
    keys: ReadOnlyCredentials, path: str, host: str
) -> None:
    body = '{"inputs": "ü"}'.encode()

    sent_path, headers, sent_body = parsed(
        RequestWriter(Target(url=host + path, region=REGION), keys).write(body)
    )

    assert (sent_path, sent_body) == (path, body)
    assert headers["content-length"] == str(len(body))
    assert signature_error(headers, body, path, NullBehavior(keys=keys, region=REGION)) is None


def test_the_id_of_prefix_aware_routing_is_signed_and_the_base_model_has_none() -> None:
    target = Target(url="http://127.0.0.1:1" + WHOLE, region=REGION, adapter_affine=True)
    path, headers, body = parsed(RequestWriter(target, KEYS).write(b"{}", "otter"))
    behavior = NullBehavior(keys=KEYS, region=REGION)
    assert headers["x-amzn-sagemaker-prefix-aware-id"] == "otter"
    assert signature_error(headers, body, path, behavior) is None
    assert (
        signature_error(headers | {"x-amzn-sagemaker-prefix-aware-id": "b"}, body, path, behavior) is not None
    )
    assert "x-amzn-sagemaker-prefix-aware-id" not in parsed(RequestWriter(target, KEYS).write(b"{}"))[1]


def test_a_changed_request_has_another_signature() -> None:
    target = Target(url="http://127.0.0.1:1" + WHOLE, region=REGION)
    path, headers, body = parsed(RequestWriter(target, SESSION_KEYS).write(b"{}"))
    behavior = NullBehavior(keys=SESSION_KEYS, region=REGION)

    for changed in (
        (headers, b"{ }", path, behavior),
        (headers, body, path + "x", behavior),
        (headers | {"x-amz-security-token": "other"}, body, path, behavior),
        (headers, body, path, NullBehavior(keys=SESSION_KEYS, region="us-east-1")),
        (headers, body, path, NullBehavior(keys=SESSION_KEYS._replace(secret_key="other"), region=REGION)),
    ):
        assert signature_error(*changed) is not None


def test_a_target_without_a_region_is_not_signed() -> None:
    path, headers, _ = parsed(RequestWriter(Target(url="http://[::1]:80"), None).write(b"{}"))

    assert path == "/"
    assert headers == {"host": "[::1]", "content-type": "application/json", "content-length": "2"}


@pytest.mark.parametrize("stream", [False, True])
def test_the_url_is_that_of_botocore_s_client(stream: bool) -> None:
    keys = {"aws_access_key_id": "AK", "aws_secret_access_key": "S"}
    client = boto3.Session(region_name="cn-north-1", **keys).client("sagemaker-runtime")
    seen = []

    def keep(request: object, **_: object) -> None:
        seen.append(request.url)
        raise InterruptedError

    client.meta.events.register("before-send.*.*", keep)
    call = client.invoke_endpoint_with_response_stream if stream else client.invoke_endpoint
    with pytest.raises(InterruptedError):
        call(EndpointName="lora-serving", Body=b"{}")

    target = endpoint_target(client, "lora-serving", stream=stream)
    assert target == Target(url=seen[0], region="cn-north-1")


def test_without_credentials_botocore_s_error_is_raised(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, f"{tmp_path}/absent")

    with pytest.raises(NoCredentialsError):
        find_credentials()


@pytest.mark.parametrize(("offset_s", "words"), [(420, "7 minutes behind"), (-420, "7 minutes ahead of")])
async def test_a_wrong_clock_is_reported_in_plain_words(offset_s: float, words: str) -> None:
    behavior = NullBehavior(keys=KEYS, region=REGION, clock_offset_s=offset_s)
    async with null_server(behavior) as url:
        [result] = await send(job(url + WHOLE, workload(1, 1)), KEYS)

    assert result.outcome is LoadOutcome.VALIDATION_ERROR
    assert result.message is not None
    assert result.message.startswith(f"this machine's clock is wrong, {words} AWS's: set it")


async def test_a_wrong_key_has_a_remedy() -> None:
    async with null_server(NullBehavior(keys=KEYS, region=REGION)) as url:
        [result] = await send(job(url + WHOLE, workload(1, 1)), KEYS._replace(secret_key="other"))

    assert result.outcome is LoadOutcome.VALIDATION_ERROR
    assert "does not match" in str(result.message)
