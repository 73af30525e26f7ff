"""The requests that the options of `load-test` describe, and their export."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loraserve.errors import UserError
from loraserve.load.adapter_names import AdapterNamesError, parse_adapters
from loraserve.load.export import ExportError, write_aiperf
from loraserve.load.prompts import PromptsError, read_prompts
from loraserve.load.request_draw import RequestLaws
from loraserve.load.request_source import RequestSource, request_source
from stacks.project import ROOT

LAWS = RequestLaws(popularity="uniform", seed=3)


def source(laws: RequestLaws = LAWS, **changes: Any) -> RequestSource:
    options: dict[str, Any] = {
        "arrivals": "poisson", "adapters": "otter,heron", "prompts": "", "requests": "", "duration_s": None,
        "is_closed": False,
    }  # fmt: skip
    return request_source(laws, **(options | changes))


def test_an_open_loop_lasts_a_minute_unless_it_has_another_end() -> None:
    assert 50 < source().at(10.0).workload.duration_s < 60
    assert source(duration_s=5.0).at(10.0).workload.duration_s < 5
    assert len(source(requests="7").at(10.0).workload) == 7


def test_a_closed_loop_needs_a_number_of_requests() -> None:
    with pytest.raises(UserError, match="give --requests"):
        source(is_closed=True)
    drawn = source(is_closed=True, requests="12", duration_s=5.0).at(None)
    assert drawn.workload.due_s.tolist() == [0.0] * 12


def test_random_prompts_have_the_whole_length_and_given_ones_their_own(tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"prompt": "a", "adapter": "otter", "expect": "b"}\n')
    given = source(prompts=str(path), adapters="", requests="3")
    assert source(requests="3").at(1.0).ignore_eos
    assert not given.at(1.0).ignore_eos
    assert given.adapters == ("otter",)
    assert given.at(1.0).expects_texts
    forced = source(RequestLaws(ignore_eos=True), prompts=str(path), adapters="", requests="3")
    assert forced.at(1.0).ignore_eos


def test_requests_of_a_file_are_sent_in_its_order(tmp_path: Path) -> None:
    path = tmp_path / "requests.jsonl"
    lines = [
        {"prompt": str(number), "adapter": f"a{number % 3}" if number % 4 else None} for number in range(20)
    ]
    path.write_text("\n".join(map(json.dumps, lines)))
    drawn = source(requests=str(path), adapters="").at(5.0)
    assert [drawn.workload.name_of(index) for index in range(20)] == [line["adapter"] for line in lines]
    assert [json.loads(drawn(index))["inputs"] for index in range(20)] == [line["prompt"] for line in lines]
    assert np.all(np.diff(drawn.workload.due_s) >= 0)
    with pytest.raises(PromptsError, match="leave out --duration"):
        source(requests=str(path), adapters="", duration_s=1.0, arrivals="constant").at(5.0)


def test_adapters_of_a_list_a_stage_and_a_file(tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_text("# comment\nteam/1\n\n team/10 \n")
    assert parse_adapters("otter, heron", ROOT / "stages") == ("otter", "heron")
    assert parse_adapters(f"@{names}", ROOT / "stages") == ("team/1", "team/10")
    assert "otter" in parse_adapters("@local", ROOT / "stages")
    assert len(parse_adapters("@local", ROOT / "stages")) == 50
    for text, problem in (("a,a", "twice"), (" ,", "has no adapter"), ("@absent", "is no stage")):
        with pytest.raises(AdapterNamesError, match=problem):
            parse_adapters(text, ROOT / "stages")


@pytest.mark.parametrize("stream", [True, False])
def test_an_export_for_aiperf_is_read_back_as_the_same_requests(tmp_path: Path, stream: bool) -> None:
    laws = RequestLaws(base_share=0.3, stream=stream, seed=1)
    drawn = source(laws, requests="30").at(5.0)
    path = tmp_path / "inputs.json"
    write_aiperf(path, drawn)
    sessions = json.loads(path.read_text())["data"]
    assert len({session["session_id"] for session in sessions}) == 30
    payloads = [payload for session in sessions for payload in session["payloads"]]
    asked = [drawn.workload.name_of(index) for index in range(30)]
    assert [payload["model"] or None for payload in payloads] == asked
    assert [prompt.adapter for prompt in read_prompts(path)] == asked
    for index, payload in enumerate(payloads):
        assert payload["prompt"] == json.loads(drawn(index))["inputs"]
        assert (payload["max_tokens"], payload["stream"], payload["ignore_eos"]) == (64, stream, True)
        assert ("stream_options" in payload) == stream


def test_an_export_that_aiperf_would_not_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="name it inputs.json"):
        write_aiperf(tmp_path / "inputs.jsonl", source(requests="1").at(1.0))
    requests = tmp_path / "requests.jsonl"
    requests.write_text('{"inputs": "a", "parameters": {"return_full_text": true}}\n')
    drawn = source(requests=str(requests), adapters="").at(1.0)
    with pytest.raises(ExportError, match="has return_full_text"):
        write_aiperf(tmp_path / "inputs.json", drawn)
