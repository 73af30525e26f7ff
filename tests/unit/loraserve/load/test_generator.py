"""The generator against the null endpoint, in one event loop; speed and lag are measured by benchmarks/."""

import asyncio
import time

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from benchmarks.null_endpoint import FAULTS, WRONG_ADAPTER, NullBehavior
from loraserve.load.generator import Generator, Share
from loraserve.load.result import LoadOutcome
from loraserve.load.signing import RequestWriter
from loraserve.load.timer import DueTimer, FileTimer, PollingTimer, now
from tests.unit.loraserve.load.generated_load import REGION, STREAM, WHOLE, job, null_server, send, workload


@pytest.mark.parametrize("operation", [WHOLE, STREAM, "/invocations", "/invocations-response-stream"])
async def test_every_request_is_answered_by_its_adapter(operation: str) -> None:
    requests = workload(30, 1000, tokens=4)
    async with null_server() as url:
        results = await send(job(url + operation, requests))

    assert [result.index for result in results] == list(range(30))
    assert {result.outcome for result in results} == {LoadOutcome.OK}
    for result in results:
        name = requests.name_of(result.index)
        assert result.answered_by == (None if name is None else f"{name}@{'0' * 12}")
        assert str(result.text).endswith(f"[{name}]")
        assert (result.input_tokens, result.output_tokens, result.tokens_from_usage) == (3, 4, True)
        assert (result.first_token_s is not None) == ("stream" in operation)
        assert len(result.token_gaps_s) == (3 if "stream" in operation else 0)


async def test_a_slow_endpoint_does_not_slow_an_open_run() -> None:
    """No coordinated omission: the endpoint stops for 0.4 s, and all requests of that time are late."""
    requests = workload(60, 100)
    behavior = NullBehavior(first_token_s=0.4)
    async with null_server(behavior) as url:
        opened = await send(job(url + WHOLE, requests))
        closed = await send(job(url + WHOLE, requests, mode="closed", clients=4, duration_s=0.6))

    assert len(opened) == 60
    first_end = min(result.ended_s for result in opened)
    assert sum(result.sent_s < first_end for result in opened) > 20
    assert min(result.latency_s for result in opened) >= 0.4
    assert len(closed) in (4, 8)  # one or two rounds of four clients
    assert all(result.due_s == result.sent_s for result in closed)


async def test_latency_is_counted_from_the_due_time() -> None:
    requests = workload(5, 100)
    async with null_server() as url:
        load = job(url + WHOLE, requests)
        generator = Generator(
            load, Share(0, 1), RequestWriter(load.target, boto3.Session("a", "b").get_credentials())
        )
        await generator.run(now() - 500_000_000)  # half a second late

    assert len(generator.results) == 5
    assert all(result.latency_s - result.service_s > 0.4 for result in generator.results)


async def test_planted_faults_are_counted_exactly() -> None:
    kinds = {"wrong-adapter": 10, "cut": 10, "model-error": 10, "stream-error": 10, "throttled": 10}
    requests = workload(200, 5000, tokens=4, adapters=("otter",))
    async with null_server(NullBehavior(faults=kinds)) as url:
        results = await send(job(url + STREAM, requests))

    count = {outcome: sum(result.outcome is outcome for result in results) for outcome in LoadOutcome}
    assert {outcome: number for outcome, number in count.items() if number} == {
        LoadOutcome.OK: 120,
        LoadOutcome.CUT: 20,
        LoadOutcome.MODEL_ERROR: 20,
        LoadOutcome.STREAM_ERROR: 20,
        LoadOutcome.THROTTLED: 20,
    }
    assert sum(str(result.answered_by).startswith(WRONG_ADAPTER) for result in results) == 20


async def test_a_whole_answer_that_is_cut_is_a_failure() -> None:
    async with null_server(NullBehavior(faults={"cut": 1})) as url:
        results = await send(job(url + WHOLE, workload(3, 1000)))

    assert {result.outcome for result in results} == {LoadOutcome.CUT}


async def test_a_request_without_an_answer_times_out_and_is_not_sent_again() -> None:
    async with null_server(NullBehavior(faults={"no-answer": 2})) as url:
        results = await send(job(url + WHOLE, workload(4, 1000), timeout_s=0.3))

    timed_out = [result for result in results if result.outcome is LoadOutcome.TIMEOUT]
    assert len(timed_out) == 2
    assert all(0.3 <= result.service_s < 1.0 for result in timed_out)
    assert timed_out[0].message == "no whole answer in 0.3 s"


async def test_more_than_max_in_flight_is_withheld_and_said() -> None:
    async with null_server(NullBehavior(first_token_s=0.3)) as url:
        results = await send(job(url + WHOLE, workload(20, 1000), max_in_flight=5))

    assert [result.outcome is LoadOutcome.WITHHELD for result in results] == [False] * 5 + [True] * 15


async def test_a_server_that_is_not_there_is_no_connection() -> None:
    results = await send(job("http://127.0.0.1:9" + WHOLE, workload(3, 1000)))

    assert {result.outcome for result in results} == {LoadOutcome.CONNECTION}
    assert str(results[0].message).startswith("no connection to http://127.0.0.1:9/endpoints/e/invocations")


@pytest.mark.parametrize("answer", [b"", b"220 mail ESMTP\r\n"])
async def test_a_server_that_is_no_web_server_is_no_connection(answer: bytes) -> None:
    async def other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(other, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        [result] = await send(job(f"http://127.0.0.1:{port}{WHOLE}", workload(1, 1)))

    assert result.outcome is LoadOutcome.CONNECTION


async def test_stop_ends_the_run_and_keeps_what_has_ended() -> None:
    load = job("", workload(100, 100))
    async with null_server() as url:
        load = job(url + WHOLE, workload(100, 20))
        generator = Generator(
            load, Share(0, 1), RequestWriter(load.target, boto3.Session("a", "b").get_credentials())
        )
        asyncio.get_running_loop().call_later(0.3, generator.stop)
        began = time.monotonic()
        await generator.run(now())

    assert time.monotonic() - began < 3
    assert 0 < len(generator.results) < 50


def test_shares_add_up() -> None:
    parts = [Share(number, 3) for number in range(3)]

    assert sorted(index for part in parts for index in part.indices(10)) == list(range(10))
    assert [part.of(10) for part in parts] == [4, 3, 3]


@pytest.mark.parametrize("alarm", [FileTimer(), PollingTimer()])
async def test_a_timer_does_not_ring_early(alarm: DueTimer) -> None:
    with alarm:
        for wait_ns in (0, 1_000_000, 30_000_000, -5):
            instant = now() + wait_ns
            await alarm.until(instant)
            assert now() >= instant


async def test_the_null_endpoint_is_one_to_boto3() -> None:
    """The server that measures the generator is held against AWS's own client."""
    every = {"model-error": 3}
    position = FAULTS.index("model-error")
    async with null_server(NullBehavior(faults=every)) as url:
        client = boto3.Session("AK", "SECRET", region_name=REGION).client(
            "sagemaker-runtime", endpoint_url=url, config=Config(retries={"max_attempts": 0})
        )

        def call() -> list[str]:
            found = []
            for number in range(3):
                body = b'{"inputs": "a", "parameters": {"adapter_id": "otter", "max_new_tokens": 3}, "stream": %s}'
                try:
                    if number % 2:
                        sent = body % b"true"
                        response = client.invoke_endpoint_with_response_stream(EndpointName="e", Body=sent)
                        content = b"".join(part["PayloadPart"]["Bytes"] for part in response["Body"])
                    else:
                        response = client.invoke_endpoint(EndpointName="e", Body=body % b"false")
                        content = response["Body"].read()
                    assert response["CustomAttributes"].startswith("adapter=otter@")
                    found.append(content.decode()[:9])
                except ClientError as error:
                    assert error.response["OriginalStatusCode"] == 500
                    found.append(error.response["Error"]["Code"])
            return found

        found = await asyncio.to_thread(call)

    expected = ['[{"genera', 'data: {"t', '[{"genera']
    expected[position % 3] = "ModelError"
    assert found == expected
