"""Content of images and functions, adapters of another base, and facts, for edits of `prod`."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from loraserve.review.assembly import Asset, CloudAssembly, Stage
from loraserve.review.comparison import StageComparison, compare
from loraserve.review.difference import Kind
from loraserve.review.engine import findings
from loraserve.review.finding import Level, ReviewFinding
from stacks.facts import StageFacts
from tests.unit.loraserve.review.editing import Edit, all_of, edited, put, write

OLD, NEW = "0a" * 32, "0b" * 32
STORE = "AdapterStore"
FACTS = StageFacts.model_validate(
    {
        "name": "prod",
        "endpoint_name": "LoraServing-Prod-Serving",
        "engine": "lorax",
        "image": {"uri": None, "asset": OLD, "base": "lorax:1", "base_digest": None},
        "model": {"name": "org/model", "revision": "0a" * 20, "source": "mirror"},
        "limits": {
            "max_input_tokens": 1024, "max_total_tokens": 4096, "max_new_tokens": 1024, "max_adapter_rank": 64,
        },
        "fleet": {
            "instance_type": "ml.g5.xlarge", "initial": 2, "minimum": 2, "expected": 2, "maximum": 4,
            "autoscaled": True, "quota": 6,
        },
        "rollout": {
            "strategy": "rolling", "step_percent": 20, "step_seconds": 300, "batch_percent": 50,
            "bake_seconds": 300, "pauses_seconds": 900, "rollback_alarms": ["LoraServing-Prod-Serving-5xx"],
        },
        "billed": {
            "region": "us-east-1", "storage_gb": 1, "kms_keys": 1, "custom_metrics": 1, "alarms": 1,
            "dashboards": 1, "nat_gateways": 0, "interface_endpoints": 0, "public_addresses": 0,
            "rollout_instances": 2,
        },
        "network": "public",
        "adapters": [],
        "removable_share": 0.2,
        "retention": {"retired_days": 30, "captured_days": 30, "log_days": 90, "retain_data": True},
        "allow_unpinned_sources": False,
        "warnings": [],
    }
)  # fmt: skip


def comparisons(pairs: Sequence[tuple[Stage, Stage]]) -> list[StageComparison]:
    sides = (
        CloudAssembly(
            stages={str(number): replace(pair[side], id=str(number)) for number, pair in enumerate(pairs)},
            prices_date=None,
        )
        for side in (0, 1)
    )
    return compare(*sides)


def comparison(before: Stage, after: Stage) -> StageComparison:
    [change] = comparisons([(before, after)])
    return change


def function(hash_: str, bucket: str = "assets") -> Edit:
    code = {"S3Bucket": bucket, "S3Key": f"{hash_}.zip"}
    return all_of(*(put(name, "Code", code, STORE) for name in ("SeederD17DDE2F", "SeederWorkerEA269072")))


def with_assets(stage: Stage, edit: Edit, *assets: tuple[str, Asset]) -> Stage:
    return replace(edited(stage, edit), assets={**stage.assets, **dict(assets)})


def asset(path: Path, files: dict[str, str], **build: object) -> Asset:
    return Asset(path=write(path, files), is_image=bool(build), build=build)


def found(change: StageComparison, rule: str) -> list[ReviewFinding]:
    return [each for each in findings(change) if each.rule == rule]


def test_code_of_two_functions_is_one_finding_with_the_changed_files(prod: Stage, tmp_path: Path) -> None:
    before = with_assets(
        prod, function(OLD), (OLD, asset(tmp_path / "a", {"lambdas/seeder.py": "1", "b.py": ""}))
    )
    after = with_assets(
        prod, function(NEW), (NEW, asset(tmp_path / "b", {"lambdas/seeder.py": "2", "b.py": ""}))
    )
    [finding] = findings(comparison(before, after))
    assert (finding.rule, finding.level) == ("supply.lambda", Level.ROUTINE)
    assert finding.title == "code of SeederD17DDE2F, SeederWorkerEA269072: 1 file changed"
    assert finding.details == ("changed: lambdas/seeder.py",)


def test_code_that_is_in_no_assembly_or_in_another_bucket_is_to_be_read(prod: Stage, tmp_path: Path) -> None:
    known = (OLD, asset(tmp_path / "a", {}))
    before = with_assets(prod, function(OLD), known)
    edits = (function(NEW), function(OLD, "other"), put("SeederD17DDE2F", "Code", {"ZipFile": "x"}, STORE))
    pairs = [(before, with_assets(prod, all_of(function(OLD), edit), known)) for edit in edits]
    for change in comparisons(pairs):
        [finding] = findings(change)
        assert (finding.rule, finding.level) == ("supply.lambda", Level.REVIEW)


def test_an_image_names_its_files_and_its_base(prod: Stage, tmp_path: Path) -> None:
    def built(hash_: str, content: str, base: str) -> Stage:
        uri = {"Fn::Sub": f"${{AWS::AccountId}}.dkr.ecr.us-east-1.${{AWS::URLSuffix}}/assets:{hash_}"}
        context = asset(
            tmp_path / f"{hash_}{content}",
            {"container/gateway/main.py": content},
            dockerBuildArgs={"BASE": base},
        )
        return with_assets(prod, put("Model", "PrimaryContainer.Image", uri), (hash_, context))

    pinned = f"ghcr.io/lorax@sha256:{OLD}"
    other, to_digest, to_tag, elsewhere = comparisons(
        [
            (built(OLD, "1", "ghcr.io/lorax:1"), built(NEW, "2", "ghcr.io/lorax:2")),
            (built(OLD, "1", "ghcr.io/lorax:1"), built(NEW, "1", pinned)),
            (built(OLD, "1", pinned), built(NEW, "1", "ghcr.io/lorax:1")),
            (built(OLD, "1", pinned), built(NEW, "1", f"docker.io/lorax@sha256:{OLD}")),
        ]
    )
    [image] = found(other, "supply.image")
    assert image.level is Level.ROUTINE
    assert image.details == (
        "dockerBuildArgs.BASE: ghcr.io/lorax:1 → ghcr.io/lorax:2",
        "changed: container/gateway/main.py",
    )
    assert found(to_digest, "supply.unpinned") == []
    [unpinned] = found(to_tag, "supply.unpinned")
    assert unpinned.level is Level.REVIEW
    [image] = found(elsewhere, "supply.image")
    assert image.level is Level.REVIEW


def packed(stage: Stage, folder: Path, *edits: Edit) -> Stage:
    """Return the stage with two packed adapters and one of the Hub."""
    configs = {
        OLD: {"r": 32, "base_model_name_or_path": "org/model", "revision": "0a" * 20},
        NEW: {"r": 8, "base_model_name_or_path": "other/model"},
    }
    manifest = [
        {"names": ["high"], "source": f"asset://{OLD}/"},
        {"names": ["low"], "source": f"asset://{NEW}/"},
        {"names": ["far"], "source": "hf://org/adapter@main"},
    ]
    write(
        folder,
        {f"adapters/{digest}/adapter_config.json": json.dumps(each) for digest, each in configs.items()},
    )
    write(folder, {"manifest.json": json.dumps({"adapters": manifest})})
    edit = all_of(put("Seeding", "ManifestKey", f"{OLD}.zip", STORE), *edits)
    return with_assets(stage, edit, (OLD, Asset(path=folder, is_image=False, build={})))


def env(variable: str, value: str) -> Edit:
    return put("Model", f"PrimaryContainer.Environment.{variable}", value)


def test_a_lower_rank_names_the_adapters_above_it(prod: Stage, tmp_path: Path) -> None:
    before, after = packed(prod, tmp_path), packed(prod, tmp_path, env("MAX_ADAPTER_RANK", "16"))
    [finding] = found(comparison(before, after), "model.limits")
    assert finding.details[1:3] == (
        "adapter high has rank 32",
        "not known here: the rank of 1 adapters, whose configs are not in the assembly",
    )


def test_another_model_names_the_adapters_of_another_base(prod: Stage, tmp_path: Path) -> None:
    model = (env("HF_MODEL_ID", "org/model"), env("HF_MODEL_REVISION", "0b" * 20))
    [finding] = found(comparison(packed(prod, tmp_path), packed(prod, tmp_path, *model)), "model.changed")
    assert finding.details[-3:] == (
        f"adapter high was trained on org/model at {'0a' * 20}",
        "adapter low was trained on other/model",
        "the base of 1 adapters is not known here: their configs are not in the assembly",
    )


def with_facts(stage: Stage, **changes: object) -> Stage:
    return replace(stage, facts=FACTS.model_copy(update=changes))


def test_facts_belong_to_the_findings_of_what_they_repeat(prod: Stage) -> None:
    edit = all_of(
        env("MAX_TOTAL_TOKENS", "2048"),
        env("HF_MODEL_REVISION", "0b" * 20),
        put("Model", "PrimaryContainer.Image", f"registry/serving@sha256:{NEW}"),
        put("Endpoint", "DeploymentConfig.RollingUpdatePolicy.WaitIntervalInSeconds", 600),
    )
    after = with_facts(
        edited(prod, edit),
        engine="vllm",
        limits=FACTS.limits.model_copy(update={"max_total_tokens": 2048}),
        model=FACTS.model.model_copy(update={"revision": "0b" * 20}),
        image=FACTS.image.model_copy(update={"asset": None, "uri": "registry/serving"}),
        rollout=FACTS.rollout.model_copy(update={"step_seconds": 600, "pauses_seconds": 1800}),
    )
    rules = {each.rule for each in findings(comparison(with_facts(prod), after))}
    assert not {rule for rule in rules if rule.startswith("unknown.")}


def test_a_fact_that_no_template_repeats_is_not_hidden(prod: Stage) -> None:
    change = comparison(
        with_facts(prod),
        with_facts(
            prod,
            engine="vllm",
            limits=FACTS.limits.model_copy(update={"max_total_tokens": 2048}),
            model=FACTS.model.model_copy(update={"revision": "0b" * 20}),
        ),
    )
    assert {each.rule for each in findings(change)} == {"unknown.property"}
    assert all(each.kind is Kind.FACT for finding in findings(change) for each in finding.differences)


def test_longer_pauses_of_a_larger_fleet_are_routine(prod: Stage) -> None:
    after = with_facts(prod, rollout=FACTS.rollout.model_copy(update={"pauses_seconds": 1200}))
    [finding] = findings(comparison(with_facts(prod), after))
    assert (finding.rule, finding.level) == ("rollover.strategy", Level.ROUTINE)


def test_unpinned_sources_are_to_be_allowed_by_a_person(prod: Stage) -> None:
    before, after = with_facts(prod), with_facts(prod, allow_unpinned_sources=True)
    [finding] = findings(comparison(before, after))
    assert (finding.rule, finding.level) == ("supply.unpinned", Level.REVIEW)
    [finding] = findings(comparison(after, before))
    assert (finding.rule, finding.level) == ("supply.unpinned", Level.ROUTINE)
