"""Stages that come, go or have facts: what the rules say of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from loraserve.review.assembly import Asset, CloudAssembly, Stage
from loraserve.review.comparison import StageComparison, compare
from loraserve.review.engine import findings
from loraserve.review.finding import Level, ReviewFinding
from loraserve.review.rules.adapters import adapters
from loraserve.review.rules.form import form
from loraserve.review.rules.identity import identity
from loraserve.review.rules.loss import loss
from loraserve.review.rules.network import network
from stacks.config.loading import load_stages
from stacks.facts import StageFacts
from stacks.project import ROOT
from tests.unit.loraserve.review.rules.base import base

N, R, V, B = Level.NOISE, Level.ROUTINE, Level.REVIEW, Level.BLOCK
COMMIT, OTHER = "a" * 40, "b" * 40


def one(before: Stage | None, after: Stage | None) -> StageComparison:
    sides = [
        CloudAssembly(stages={} if stage is None else {stage.id: stage}, prices_date=None)
        for stage in (before, after)
    ]
    [change] = compare(*sides)
    return change


def said(found: list[ReviewFinding]) -> set[tuple[str, Level]]:
    return {(each.rule, each.level) for each in found}


def test_a_new_stage_is_one_finding_with_its_cost_and_network() -> None:
    change = one(None, base())
    [found] = identity(change)
    assert (found.rule, found.level) == ("identity.stage-added", V)
    assert set(found.differences) == set(change.differences)
    assert "network" in found.title
    assert "USD per month" in found.consequence
    assert not [each for rule in (adapters, form, loss, network) for each in rule(change)]


def test_a_removed_stage_is_blocked_and_nothing_is_called_deleted() -> None:
    change = one(base(), None)
    [found] = identity(change)
    assert (found.rule, found.level) == ("identity.stage-removed", B)
    assert set(found.differences) == set(change.differences)
    assert not [each for rule in (adapters, form, loss, network) for each in rule(change)]


def test_a_left_stack_names_the_commands_that_delete_it() -> None:
    stage = base()
    stacks = {name: stack for name, stack in stage.stacks.items() if name != "Network"}
    [found] = [each for each in identity(one(stage, replace(stage, stacks=stacks))) if each.level is V]
    name = stage.stacks["Network"].stack_name
    assert f"aws cloudformation delete-stack --stack-name {name} --region us-east-1" in found.action
    assert "update-termination-protection --no-enable-termination-protection" in found.action


def test_a_new_network_is_a_way_out_and_a_routine_stack() -> None:
    stage = base()
    stacks = {name: stack for name, stack in stage.stacks.items() if name != "Network"}
    change = one(replace(stage, stacks=stacks), stage)
    assert said(list(identity(change))) == {("identity.stack-added", R)}
    assert said(list(network(change))) == {("access.network", V), ("alarms.blind", R)}


def test_a_group_that_nothing_uses_any_more_is_a_change_of_the_network() -> None:
    stage = base()
    network_stack = stage.stacks["Network"]
    resources = {**network_stack.resources, "RuntimeGroup": network_stack.resources["Instances"]}
    template = {**network_stack.template, "Resources": resources}
    before = replace(stage, stacks={**stage.stacks, "Network": replace(network_stack, template=template)})
    assert said(list(network(one(before, stage)))) == {("access.network", V)}


def facts(**changes: Any) -> StageFacts:
    """Return a stage's facts; a dict changes fields of a section."""
    content: dict[str, Any] = {
        "name": "base",
        "endpoint_name": "LoraServing-Base-Serving",
        "engine": "lorax",
        "image": {"uri": "x", "asset": None, "base": None, "base_digest": None},
        "model": {"name": "m", "revision": COMMIT, "source": "mirror"},
        "limits": {"max_input_tokens": 1, "max_total_tokens": 2, "max_new_tokens": 1, "max_adapter_rank": 8},
        "fleet": {
            **{"instance_type": "ml.g5.xlarge", "initial": 1, "minimum": 1, "expected": 1, "maximum": 1},
            **{"autoscaled": True, "quota": 2},
        },
        "rollout": {
            **{"strategy": "all_at_once", "step_percent": 0, "step_seconds": 0, "batch_percent": 0},
            **{"bake_seconds": 300, "pauses_seconds": 300, "rollback_alarms": ()},
        },
        "billed": {
            **{"region": "us-east-1", "storage_gb": 1, "kms_keys": 1, "custom_metrics": 1, "alarms": 1},
            **{"dashboards": 1, "nat_gateways": 1, "interface_endpoints": 0, "public_addresses": 1},
            **{"rollout_instances": 1},
        },
        "network": "vpc",
        "adapters": (adapter("one"), adapter("two", source=f"hf://org/two@{OTHER}")),
        "removable_share": 0.2,
        "retention": {"retired_days": 30, "captured_days": 30, "log_days": 90, "retain_data": True},
        "allow_unpinned_sources": False,
        "warnings": ("a thing is odd: 1",),
    }
    for name, value in changes.items():
        content[name] = {**content[name], **value} if isinstance(value, dict) else value
    return StageFacts.model_validate(content)


def adapter(*names: str, source: str = f"hf://org/one@{COMMIT}", sha256: str | None = None) -> dict[str, Any]:
    return {"names": names, "source": source, "sha256": sha256, "labels": {}}


ONE, TWO = adapter("one"), adapter("two", source=f"hf://org/two@{OTHER}")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, set()),
        ({"adapters": (TWO, ONE)}, {("form.manifest", N)}),
        ({"adapters": (ONE, TWO, adapter("three"))}, {("adapters.added", R)}),
        ({"adapters": (TWO,)}, {("adapters.removed", V)}),
        ({"adapters": (adapter("uno"), TWO)}, {("adapters.renamed", V)}),
        ({"adapters": (adapter("one", source=f"hf://org/one@{OTHER}"), TWO)}, {("adapters.repinned", V)}),
        (
            {
                "adapters": (adapter("one", source=f"hf://org/one@{OTHER}"), TWO),
                "allow_unpinned_sources": True,
            },
            {("adapters.repinned", V)},
        ),
        ({"adapters": (adapter("one", source="hf://org/one@main"), TWO)}, {("supply.unpinned", V)}),
        ({"adapters": (adapter("one", sha256="c" * 64), TWO)}, {("adapters.checked", R)}),
        (
            {"adapters": (ONE, TWO, adapter("three", source="s3://bucket/prefix/"))},
            {("adapters.added", R), ("access.foreign", V)},
        ),
        ({"removable_share": 1}, {("adapters.removals", V)}),
        ({"removable_share": 0.1}, {("adapters.removals", R)}),
        ({"network": "private"}, {("access.network", V)}),
        ({"retention": {"log_days": 7}}, {("loss.guard", V)}),
        ({"retention": {"retain_data": False}}, {("loss.next-destroy", B)}),
        ({"warnings": ()}, {("form.warnings", N)}),
        ({"warnings": ("a thing is odd: 2",)}, {("tooling.warning", R)}),
        ({"warnings": ("a thing is odd: 1", "this is another one")}, {("tooling.warning", V)}),
        ({"endpoint_name": "other"}, {("identity.endpoint", B)}),
        ({"name": "BASE"}, {("form.name", N)}),
    ],
)
def test_facts_alone_have_findings(change: dict[str, Any], expected: set[tuple[str, Level]]) -> None:
    stage = base()
    comparison = one(replace(stage, facts=facts()), replace(stage, facts=facts(**change)))
    rules = (adapters, form, identity, loss, network)
    assert said([each for rule in rules for each in rule(comparison)]) == expected


def test_twenty_lines_of_adapters_at_most() -> None:
    stage = base()
    many = tuple(adapter(f"x{number}", source=f"hf://org/x{number}@{COMMIT}") for number in range(400))
    [found] = adapters(
        one(replace(stage, facts=facts()), replace(stage, facts=facts(adapters=(ONE, TWO, *many))))
    )
    assert found.title == "400 adapters new"
    assert len(found.details) == 21
    assert found.details[-1] == "and 380 more"


def test_disposable_data_are_reviewed_not_blocked() -> None:
    stage = base()
    disposable = replace(stage, facts=facts(retention={"retain_data": False}))
    store = stage.stacks["AdapterStore"]
    resources = {name: each for name, each in store.resources.items() if each["Type"] != "AWS::S3::Bucket"}
    after = {
        **stage.stacks,
        "AdapterStore": replace(store, template={**store.template, "Resources": resources}),
    }
    [found] = [
        each
        for each in findings(one(disposable, replace(disposable, stacks=after)))
        if each.rule == "loss.left-behind"
    ]
    assert found.level is V


def test_the_packed_manifest_speaks_for_a_base_without_facts(tmp_path: Path) -> None:
    stage = base()
    store = stage.stacks["AdapterStore"]
    sides = []
    for number, entries in enumerate(([ONE, TWO], [TWO])):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "manifest.json").write_text(json.dumps({"adapters": entries, "removals": 0.2, "model": {}}))
        key = f"{number}" * 64
        seeding = store.resources["Seeding"]
        properties = {**seeding["Properties"], "ManifestKey": f"{key}.zip"}
        resources = {**store.resources, "Seeding": {**seeding, "Properties": properties}}
        sides.append(
            replace(
                stage,
                stacks={
                    **stage.stacks,
                    "AdapterStore": replace(store, template={**store.template, "Resources": resources}),
                },
                assets={key: Asset(path=folder, is_image=False, build={})},
            )
        )
    change = one(*sides)
    [found] = adapters(change)
    assert (found.rule, found.level) == ("adapters.removed", V)
    assert set(found.differences) == set(change.differences)


def test_the_stages_of_this_repository_are_equal_to_themselves() -> None:
    assert load_stages(ROOT / "stages")
    assert findings(one(base(), base())) == []
