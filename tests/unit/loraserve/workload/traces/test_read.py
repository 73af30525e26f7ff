"""Traces in the formats as published, and damaged ones."""

import base64
import json
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from loraserve.workload.errors import WorkloadError
from loraserve.workload.traces.read import FORMATS, read_trace
from loraserve.workload.workload import BASE, Workload

AZURE = "TIMESTAMP,ContextTokens,GeneratedTokens\n"
BURSTGPT = "Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log Type\n"


def read(tmp_path: Path, content: str, name: str = "trace") -> Workload:
    path = tmp_path / name
    path.write_text(content)
    return read_trace(path)


def captured(second: int, request: object, answer: str, encoding: str = "JSON") -> str:
    """Return a line of data capture, as in SageMaker's developer guide."""

    def part(mode: str, data: str) -> dict[str, str]:
        if encoding == "BASE64":
            data = base64.b64encode(data.encode()).decode()
        kind = "application/json"
        return {"observedContentType": kind, "mode": mode, "data": data, "encoding": encoding}

    return json.dumps(
        {
            "captureData": {
                "endpointInput": part("INPUT", json.dumps(request)),
                "endpointOutput": part("OUTPUT", answer),
            },
            "eventMetadata": {"eventId": "e", "inferenceTime": f"2026-11-24T10:00:{second:02}Z"},
            "eventVersion": "0",
        }
    )


def load_test(**changed: object) -> str:
    columns = {
        "due_s": [0.0, 0.5],
        "adapter": [-1, 0],
        "input_tokens": [-1, 9],
        "output_tokens": [3, 4],
        "outcome": ["ok", "timeout"],
    }
    return json.dumps(
        {"format": "loraserve-load-test", "version": 1, "adapters": ["a"], "requests": {**columns, **changed}}
    )


def test_azure_has_seven_digits_of_a_second_in_2023_and_a_time_zone_in_2024(tmp_path: Path) -> None:
    trace = read(
        tmp_path,
        AZURE
        + "2023-11-16 18:15:46.6805900,374,44\n2023-11-16 18:15:50.9951690,396,109\n"
        + "2023-11-16 18:15:51.2+00:00,879,55\n",
    )
    assert trace.due_s == pytest.approx([0, 4.314579, 4.51941])
    assert trace.input_tokens.tolist() == [374, 396, 879]
    assert trace.output_tokens.tolist() == [44, 109, 55]
    assert set(trace.adapter.tolist()) == {BASE}


def test_burstgpt_has_models_and_failures_in_either_form_of_columns(tmp_path: Path) -> None:
    old = read(
        tmp_path,
        "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
        "5,ChatGPT,472,18,490,Conversation log\n45,ChatGPT,1087,0,1087,Conversation log\n"
        "118.5,GPT-4,417,276,693,API log\n",
    )
    assert old.due_s.tolist() == [0, 113.5]
    assert [old.name_of(0), old.name_of(1)] == ["ChatGPT", "GPT-4"]
    new = read(tmp_path, BURSTGPT + '7,"s,1",0.4,GPT-4,417,276,693,API log\n')
    assert (new.input_tokens.tolist(), new.output_tokens.tolist()) == ([417], [276])


def test_mooncake_counts_milliseconds_and_bailian_seconds(tmp_path: Path) -> None:
    line = '{%s"timestamp": %s, "input_length": 6758, "output_length": 500, "hash_ids": [0, 1]}\n'
    assert read(tmp_path, line % ("", 0) + line % ("", 3000)).due_s.tolist() == [0, 3]
    bailian = '"chat_id": 159, "parent_chat_id": -1, "type": "text", "turn": 1, '
    assert read(tmp_path, line % (bailian, 1) + line % (bailian, 61.114)).due_s.tolist() == [1, 61.114]


def test_servegen_has_a_file_per_client_and_a_line_per_window(tmp_path: Path) -> None:
    # 600 s with 1.5/s, then none, then 1/s with long gaps between bursts.
    (tmp_path / "chunk-0-trace.csv").write_text(
        "0,1.5,1.0,Gamma,1.0,0.6\n600,0,0,,0,0\n1200,1.0,8.5,Weibull,0.37,0.39\n"
    )
    (tmp_path / "chunk-1-trace.csv").write_text("0,0.5,nan,Gamma,2.0,0.6\n")
    (tmp_path / "chunk-1-dataset.json").write_text(
        json.dumps({"0": {"input_tokens": "{20: 0.25, 30: 0.75}", "output_tokens": "{}"}})
    )
    trace = read_trace(tmp_path)
    assert trace.adapters == ("chunk-0", "chunk-1")
    first = trace.due_s[trace.adapter == 0]
    assert np.histogram(first, [0, 600, 1200, 1800])[0].tolist() == [900, 0, 600]
    bursts = np.diff(first[first >= 1200])
    assert np.std(bursts) / np.mean(bursts) > 2
    assert np.all(np.diff(trace.due_s) >= 0)
    assert set(trace.input_tokens[trace.adapter == 0].tolist()) == {0}
    second = trace.input_tokens[trace.adapter == 1]
    assert set(second.tolist()) == {20, 30}
    assert np.mean(second == 30) == pytest.approx(0.75, abs=0.08)
    # One client alone has the same requests as among others.
    assert np.array_equal(read_trace(tmp_path / "chunk-0-trace.csv").due_s, first)


def test_data_capture_has_adapters_of_every_schema_and_tokens_of_every_answer(tmp_path: Path) -> None:
    stream = 'data: {"choices": []}\n\ndata: {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 8}}\n\n'
    lines = [
        captured(
            1,
            {"inputs": "Hello", "parameters": {"adapter_id": "team/a"}},
            '{"generated_text": "x", "details": {"prompt_tokens": 3, "generated_tokens": 4}}',
        ),
        captured(
            0,
            {"model": "b@0123456789abcdef", "prompt": "Hello"},
            '{"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 6}}',
            "BASE64",
        ),
        captured(1, {"model": "mistralai/Mistral-7B-v0.1", "messages": []}, stream + "data: [DONE]\n\n"),
        captured(1, {"inputs": "Hello"}, '{"error": "overloaded"}'),
        captured(1, {"inputs": "Hello", "parameters": {"adapter_id": "__base_model__"}}, "not JSON"),
    ]
    hour = tmp_path / "endpoint" / "variant" / "2026" / "11" / "24" / "10"
    hour.mkdir(parents=True)
    (hour / "00-01-a.jsonl").write_text("\n".join(lines[:3]) + "\n")
    (hour / "00-02-b.jsonl").write_text("\n".join(lines[3:]))
    trace = read_trace(tmp_path)
    assert [trace.name_of(index) for index in range(5)] == ["b", "team/a", None, None, None]
    assert trace.input_tokens.tolist() == [5, 3, 7, 0, 0]
    assert trace.output_tokens.tolist() == [6, 4, 8, 0, 0]
    # Whole seconds: the four requests of one are spread over it.
    assert trace.due_s == pytest.approx([0, 1, 1.25, 1.5, 1.75])


def test_a_load_test_is_a_trace_with_its_failed_requests(tmp_path: Path) -> None:
    trace = read(tmp_path, load_test())
    assert trace.due_s.tolist() == [0, 0.5]
    assert [trace.name_of(0), trace.name_of(1)] == [None, "a"]
    assert trace.input_tokens.tolist() == [0, 9]
    assert read(tmp_path, json.dumps(json.loads(load_test()), indent=2)).digest() == trace.digest()


def test_counts_of_an_answer_that_are_none_are_unknown(tmp_path: Path) -> None:
    answer = json.dumps({"usage": {"prompt_tokens": 2**40, "completion_tokens": "many"}})
    trace = read(tmp_path, captured(1, {"inputs": "x"}, answer))
    assert (trace.input_tokens.tolist(), trace.output_tokens.tolist()) == ([0], [0])


def test_distributions_of_lengths_that_are_damaged_are_named(tmp_path: Path) -> None:
    (tmp_path / "chunk-1-trace.csv").write_text("0,0.5,nan,Gamma,2.0,0.6\n")
    lengths = {"0": {"input_tokens": "{20: 0.0}", "output_tokens": "{}"}}
    (tmp_path / "chunk-1-dataset.json").write_text(json.dumps(lengths))
    with pytest.raises(WorkloadError, match=r"chunk-1-dataset.json: .*download it again"):
        read_trace(tmp_path)


def test_requests_are_put_in_the_order_of_their_arrival(tmp_path: Path) -> None:
    trace = read(tmp_path, BURSTGPT + "9,s,1,M,1,1,2,L\n7,s,1,M,2,2,4,L\n")
    assert trace.due_s.tolist() == [0, 2]
    assert trace.input_tokens.tolist() == [2, 1]


MOONCAKE = '{"timestamp": 0, "input_length": 1, "output_length": 1}\n'
CAPTURED = captured(1, {"inputs": "x"}, "{}") + "\n"


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (AZURE + "2023-11-16 18:15:46.68,374\n", 2),
        (AZURE + "2023-11-16 18:15:46.68,374,-1\n", 2),
        (AZURE + "2023-11-16 18:15:46.68,374,4\n\nyesterday,374,4\n", 4),
        (AZURE + "2023-11-16 18:15:46.68,99999999999,4\n", 2),
        (BURSTGPT + '1,"' + "s" * 200_000 + '",1,M,1,1,2,L\n', 2),
        ("0,1.5,1.0,Gamma,1.0,0.6\n600,-1.5,1.0,Gamma,1.0,0.6\n", 2),
        ("0,1.5,1.0,Gamma,1.0,0.6\n600,1.5,1.0,Gamma,1e-308,0.6\n", 2),
        (MOONCAKE + MOONCAKE.replace("0", "9" * 400), 2),
        (BURSTGPT + "1,s,1,M,1,1,2,L\n1,s,1,M,1\n", 3),
        (BURSTGPT + "nan,s,1,M,1,1,2,L\n", 2),
        (BURSTGPT + "1,s,1,M,1,1.5,2,L\n", 2),
        ("0,1.5,1.0,Gamma,1.0,0.6\n600,1.5,1.0,Pareto,1.0,0.6\n", 2),
        ("0,1.5,1.0,Gamma,1.0,0.6\n600,1.5,1.0,,0,0\n", 2),
        ("0,1.5,1.0,Gamma,1.0,0.6\n600,1e9,1.0,Gamma,1.0,0.6\n", 2),
        ("0,1.5,1.0,Gamma,1.0,0.6\n600,1.5.5,1.0,Gamma,1.0,0.6\n", 2),
        (MOONCAKE + '{"timestamp": 0, "input_length": 1\n', 2),
        (MOONCAKE + '{"timestamp": -1, "input_length": 1, "output_length": 1}\n', 2),
        (MOONCAKE + '{"timestamp": 0, "input_length": 1.5, "output_length": 1}\n', 2),
        (MOONCAKE + '{"timestamp": 0, "input_length": true, "output_length": 1}\n', 2),
        (MOONCAKE + '{"timestamp": NaN, "input_length": 1, "output_length": 1}\n', 2),
        (MOONCAKE + "[1]\n", 2),
        (CAPTURED + "{}\n", 2),
        (CAPTURED + CAPTURED.replace("2026-11-24T10:00:01Z", "soon"), 2),
        (CAPTURED + captured(1, ["no object"], "{}"), 2),
    ],
)
def test_a_damaged_line_is_named_by_file_and_number(tmp_path: Path, content: str, line: int) -> None:
    with pytest.raises(WorkloadError, match=rf"/trace:{line}: .*; correct or remove the line"):
        read(tmp_path, content)


@pytest.mark.parametrize(
    "content",
    [
        load_test(due_s=[0.0]),
        load_test(adapter=[0, 1]),
        load_test(due_s=[0.0, float("nan")]),
        load_test(output_tokens=[1, 2**40]),
        load_test(input_tokens=["x", 1]),
        load_test()[:-1],
        '{"format": "loraserve-load-test"}',
    ],
)
def test_a_damaged_load_test_is_named(tmp_path: Path, content: str) -> None:
    with pytest.raises(WorkloadError, match=r"/trace: not the document of a load test .*; run it again"):
        read(tmp_path, content)


@pytest.mark.parametrize("content", ["", AZURE, "time,tokens\n1,2\n", "{}\n", "[" * 100_000])
def test_a_file_of_no_known_format_or_without_requests_is_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(WorkloadError, match=r"/trace: .*give a"):
        read(tmp_path, content)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "trace.gz"
    path.write_bytes(b"\x1f\x8b\xff\xfe" + random.Random(1).randbytes(100))
    with pytest.raises(WorkloadError, match=r"trace.gz:1: no UTF-8 text; give an unpacked file"):
        read_trace(path)


def test_no_file_and_an_empty_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WorkloadError, match="no such file"):
        read_trace(tmp_path / "absent.csv")
    with pytest.raises(WorkloadError, match="no trace in this folder"):
        read_trace(tmp_path)


def test_a_format_may_be_given(tmp_path: Path) -> None:
    path = tmp_path / "trace"
    path.write_text(MOONCAKE)
    # Bailian's unit, which the content does not show.
    assert len(read_trace(path, "bailian")) == 1
    with pytest.raises(WorkloadError, match="use azure, burstgpt"):
        read_trace(path, "excel")


def samples() -> Sequence[tuple[str, str]]:
    bailian = MOONCAKE.replace("{", '{"chat_id": 1, ')
    return [
        ("azure", AZURE),
        ("burstgpt", BURSTGPT),
        ("servegen", "0,0,0,,0,0"),
        ("load-test", load_test()),
        ("mooncake", MOONCAKE),
        ("bailian", bailian),
        ("captured", CAPTURED),
    ]


def test_each_format_is_recognized_by_its_own_reader_alone() -> None:
    assert [name for name, _ in samples()] == list(FORMATS)
    for name, content in samples():
        first = content.splitlines()[0]
        assert [known.name for known in FORMATS.values() if known.recognizes(first)] == [name]
