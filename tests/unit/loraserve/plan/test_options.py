"""Options of the command `plan`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from loraserve.cli.commands import app
from loraserve.plan import basis
from loraserve.plan.basis import basis_of_model, start, with_settings
from loraserve.plan.errors import PlanError
from loraserve.plan.numbers import instance_names, module_names, ranks_of, slots_of
from loraserve.plan.traffic import shares_of, traffic_of_trace
from loraserve.workload.errors import WorkloadError
from stacks.project import ROOT
from stacks.sizing.popularity import zipf
from tests.unit.loraserve.plan.questions import MISTRAL, question

VLLM = question().demand
LORAX = question(engine="lorax").demand


def test_lists() -> None:
    assert slots_of("auto") == []
    assert slots_of("50, 1,8,8") == [1, 8, 50]
    assert ranks_of("16,8,64", VLLM) == [16, 8, 64]
    assert ranks_of(None, VLLM) == [16]
    assert module_names("all", VLLM) is None
    assert module_names("q_proj,v_proj", VLLM) == ("q_proj", "v_proj")
    assert instance_names(None, VLLM) == []
    assert instance_names("ml.g5.xlarge, ml.g6.xlarge", VLLM) == ["ml.g5.xlarge", "ml.g6.xlarge"]
    assert "ml.g4dn.xlarge" not in instance_names("all", LORAX)


@pytest.mark.parametrize("text", ["", "0", "1025", "a", "1,,8", "-1", "1.5", "９"])
def test_unusable_numbers_are_refused(text: str) -> None:
    with pytest.raises(PlanError, match="write whole numbers from 1 to 1,024"):
        slots_of(text)


def test_ranks_beyond_the_engines_are_refused() -> None:
    assert ranks_of("512", VLLM) == [512]
    with pytest.raises(PlanError, match="from 1 to 128"):
        ranks_of("256", LORAX)


def test_unknown_settings_are_refused_with_what_exists() -> None:
    for refused, message in (
        ({"engine": "tgi", "quantize": None, "modules": None}, "use lorax or vllm"),
        ({"engine": None, "quantize": "int3", "modules": None}, "vLLM has no 'int3': use "),
        ({"engine": None, "quantize": None, "modules": "q proj"}, "--modules: 'q proj'"),
        ({"engine": None, "quantize": None, "modules": "q_prj"}, "no 'q_prj', did you mean 'q_proj': use"),
        ({"engine": "lorax", "quantize": None, "modules": "q_proj"}, "no effect with LoRAX"),
    ):
        with pytest.raises(PlanError, match=message):
            with_settings(VLLM, **refused)
    with pytest.raises(PlanError, match=r"ml\.g5\.xlarg"):
        instance_names("ml.g5.xlarg", VLLM)
    with pytest.raises(PlanError, match="is not known"):
        basis_of_model("mistralai/Mistral-9B", "ml.g5.xlarge", "vllm")
    for stage, model in ((None, None), ("dev", MISTRAL)):
        with pytest.raises(PlanError, match="give one of them"):
            start(stage, model, None)


def test_a_stage_is_where_the_plan_starts() -> None:
    dev = start("dev", None, None)
    assert (dev.model, dev.adapters, dev.demand.engine) == (MISTRAL, 50, "lorax")
    assert dev.demand.max_num_seqs - dev.other_seqs == 128
    assert start("dev", None, "ml.g6e.xlarge").demand.instance.name == "ml.g6e.xlarge"
    # A model in a directory.
    assert start("local", None, None).demand.shape.hidden_size < 4096
    assert (
        start(None, str(ROOT / "samples" / "base"), None).demand.shape
        == start("local", None, None).demand.shape
    )


def test_other_engines_keep_no_setting_that_they_do_not_have() -> None:
    few = with_settings(VLLM, engine=None, quantize=None, modules="q_proj")
    assert with_settings(few, engine="lorax", quantize=None, modules=None).adapter_target_modules is None


def test_popularity_has_no_adapters_that_are_never_asked_for(tmp_path: Path) -> None:
    (tmp_path / "weights").write_text("0,3\n1,1\n")
    assert shares_of(5, str(tmp_path / "weights")) == (0.75, 0.25)
    assert shares_of(0, "uniform") == ()
    with pytest.raises(WorkloadError):
        shares_of(5, "pareto")


def test_a_trace_gives_mean_lengths(tmp_path: Path) -> None:
    path = tmp_path / "azure.csv"
    path.write_text(
        "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,100,10\n"
        "2023-11-16 18:15:50.9951690,300,30\n"
    )
    found = traffic_of_trace(path, 4, "zipf:1.0")
    assert (found.input_tokens, found.output_tokens, found.shares) == (200, 20, zipf(4, 1.0))


def run(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["plan", *arguments])
    return done.exit_code, done.stdout, done.stderr


def test_the_command_plans_for_a_stage() -> None:
    code, out, _ = run("--stage", "dev", "--max-loras", "8", "--json")
    assert code == 0
    document = json.loads(out)
    assert document["format"] == "loraserve-plan"
    assert document["now"]["settings"]["engine"] == "lorax"


def test_the_stages_typical_request_is_the_question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = (ROOT / "stages" / "dev.yaml").read_text().replace("adapters/", f"{ROOT}/stages/adapters/")
    typical = "  typical_input_tokens: 700\n  typical_output_tokens: 90\n"
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages" / "long.yaml").write_text(stage.rstrip() + "\n" + typical)
    monkeypatch.setattr(basis, "ROOT", tmp_path)

    def lengths(*options: str) -> list[int]:
        _, out, _ = run("--stage", "long", "--max-loras", "8", "--json", *options)
        traffic = json.loads(out)["traffic"]
        return [traffic[key]["value"] for key in ("input_tokens", "output_tokens")]

    assert lengths() == [700, 90]
    assert lengths("--output", "20") == [700, 20]
    # Without a stage the defaults of a stage file.
    assert start(None, MISTRAL, None).typical_tokens == (60, 64)


def test_exit_codes() -> None:
    assert (
        run(
            "--model",
            MISTRAL,
            "--instance",
            "ml.g6.xlarge",
            "--rank",
            "512",
            "--max-loras",
            "64",
            "--engine",
            "vllm",
        )[0]
        == 1
    )
    assert run()[0] == 2
    assert run("--stage", "nowhere")[0] == 2
    assert run("--stage", "dev", "--slo", "soon")[0] == 2
    assert run("--stage", "dev", "--rate", "1", "--concurrency", "1")[0] == 2
    assert run("--stage", "dev", "--rate", "inf")[0] == 2


def test_planning_needs_no_package_beyond_the_deployments() -> None:
    script = (
        "import sys; from loraserve.cli.commands import app; from typer.testing import CliRunner; "
        f"done = CliRunner().invoke(app, ['plan', '--model', {MISTRAL!r}, '--max-loras', '8']); "
        "print(done.exit_code, [n for n in ('torch', 'transformers', 'vllm', 'aws_cdk', 'aiohttp') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "0 []"
