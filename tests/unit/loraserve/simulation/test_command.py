"""The command `simulate-autoscaling`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from loraserve.cli.commands import app

TRACE = ("--trace", "synthetic:slora,rate=8,seconds=1200", "--warm-up", "5m", "--targets", "20,40")


def _simulate(*options: str) -> Result:
    return CliRunner().invoke(app, ["simulate-autoscaling", *options])


def test_the_report_has_the_recommended_keys_and_the_defaults_cost(tmp_path: Path) -> None:
    done = _simulate(*TRACE, "--plot", str(tmp_path))
    assert done.exit_code == 0, done.output
    assert "Recommended: " in done.output
    assert "scale_in_cooldown_seconds: 600" in done.output
    assert "The default (5 requests in flight) takes" in done.output
    assert "Assumed: an instance starts in 330 s" in done.output
    assert {file.name for file in tmp_path.iterdir()} == {"misses-cost.png", "fleet.png"}


def test_the_same_seed_writes_the_same_bytes() -> None:
    options = (*TRACE, "--json", "--start-seconds", "lognormal:200,0.5", "--policy", "default", "--seed", "7")
    first, second = _simulate(*options), _simulate(*options)
    assert first.exit_code == 0, first.output
    assert first.stdout_bytes == second.stdout_bytes
    document = json.loads(first.stdout)
    assert [each["name"] for each in document["policies"]][:3] == [
        "default",
        "concurrent 20",
        "concurrent 40",
    ]
    assert document["labels"]["instance"].startswith("assumed: ")
    assert document["recommended"]["autoscaling"]["min_instances"] == 1
    assert any(each["on_front"] for each in document["policies"])


def test_a_stage_has_its_policy_limits_and_computed_instance() -> None:
    done = _simulate(*TRACE, "--stage", "prod", "--slo", "e2e=60s", "--metric", "concurrent", "--json")
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert document["labels"]["instance"].startswith("computed: plan of stage prod")
    default, stage = document["policies"][:2]
    assert (default["name"], stage["name"]) == ("default", "stage prod")
    assert stage["autoscaling"]["max_instances"] == 4


def test_cold_adapters_make_requests_after_an_addition_slower() -> None:
    options = (*TRACE, "--policy", "default", "--metric", "concurrent", "--slo", "e2e=2.8s", "--json")
    warm, cold = _simulate(*options), _simulate(*options, "--cold-adapter-seconds", "0.9")
    assert cold.exit_code == 0, cold.output
    misses = [json.loads(done.stdout)["policies"][0]["misses"] for done in (warm, cold)]
    assert misses[1] > misses[0]


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        (["--targets", "5;10"], "give numbers, e.g. 5,10,20"),
        (["--targets", "0"], "give numbers above 0"),
        (["--scale", "inf"], "give a number above 0"),
        (["--goal", "nan"], "less than or equal to 100"),
        (["--instance", "ml.none.xlarge"], "give another --instance"),
        (["--out-cooldown", "soon"], "give whole seconds"),
        (["--warm-up", "20"], "give a time, e.g. 20m"),
        (["--warm-up", "2h"], "give a shorter one"),
        (["--slo", "ttft=1s"], "give their bound, e.g. e2e=4s"),
        (["--min", "5", "--max", "4"], "give a larger --max"),
        (["--policy", "stage"], "--stage prod"),
        (["--instance-model", "plan"], "--stage dev"),
        (["--instance-model", "fast"], "the JSON file of a load test"),
        (["--instance-model", "0,0"], "a latency above 0"),
        (["--cold-adapter-seconds", "1", "--mode", "fluid"], "--mode events"),
        (["--metric", "cpu"], "use concurrent or invocations or both"),
        (["--trace", "synthetic:day"], "use week or slora"),
    ],
)
def test_an_unusable_option_is_named_with_its_remedy(options: list[str], remedy: str) -> None:
    done = _simulate(*TRACE, *options)
    assert done.exit_code == 2
    assert remedy in " ".join(done.output.replace("│", " ").split())
