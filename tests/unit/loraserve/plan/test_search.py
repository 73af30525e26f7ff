"""Search over slots, settings and instance types."""

import re
from dataclasses import replace

import pytest

from loraserve.plan.calibration import Scales
from loraserve.plan.configuration import Configuration, Misfit, evaluate
from loraserve.plan.exchange import exchange, exchange_sentence, verdict_sentence
from loraserve.plan.planning import Plan, make_plan
from loraserve.plan.question import Measurements, PlanQuestion
from loraserve.plan.search import (
    best,
    better,
    by_slots,
    changes,
    score,
    slot_counts,
    usable,
    with_slots,
)
from stacks.sizing.engines.registry import MEMORY
from stacks.sizing.instances import INSTANCE_TYPES
from stacks.sizing.known_models import KNOWN_MODELS
from stacks.sizing.popularity import uniform, zipf
from tests.unit.loraserve.plan.questions import MISTRAL, question


def test_slots_are_powers_of_two_all_adapters_and_the_stages() -> None:
    assert slot_counts(question(), question(slots=24).demand) == [1, 2, 4, 8, 16, 24, 32, 50]
    nothing = question(shares=())
    assert slot_counts(nothing, nothing.demand) == [1]


@pytest.mark.parametrize("engine", sorted(MEMORY))
@pytest.mark.parametrize("slots", [1, 8, 20])
def test_a_demand_has_room_for_the_slots(engine: str, slots: int) -> None:
    found = with_slots(question(engine=engine).demand, slots)
    assert MEMORY[engine].adapters(found).resident == slots


def test_a_share_of_the_memory_is_not_larger_than_the_slots_need() -> None:
    found = with_slots(question(engine="lorax").demand, 8)
    less = replace(found, adapter_memory_fraction=found.adapter_memory_fraction - 0.01)
    assert MEMORY["lorax"].adapters(less).resident < 8
    # More than any share has room for: refused, and not planned with fewer.
    many = with_slots(question(engine="lorax", rank=64).demand, 1000)
    assert isinstance(evaluate(question(), many), Misfit)


def test_the_best_is_the_cheapest_and_of_those_alike_has_most_slots() -> None:
    asked = question(tokens=(60, 64), rank=8)
    rows = [row for row in by_slots(asked, asked.demand, [16, 32, 50]) if isinstance(row, Configuration)]
    found = best(rows)
    assert found is not None
    assert not any(better(row, found) for row in rows)
    assert all(row.slots <= found.slots or better(found, row) for row in rows)
    assert best([Misfit(asked.demand, "no")]) is None


def test_types_without_a_price_come_last() -> None:
    plan = make_plan(question(), instances=["ml.p5.4xlarge", "ml.g5.xlarge", "ml.g6e.xlarge"])
    names = [each.demand.instance.name for each in plan.instances]
    assert names == ["ml.g6e.xlarge", "ml.g5.xlarge", "ml.p5.4xlarge"]
    assert [score(each) for each in plan.instances] == sorted(score(each) for each in plan.instances)
    priced, unpriced = plan.instances[1:]
    assert better(priced, unpriced)
    assert not better(unpriced, priced)


def test_changes_are_cheaper_and_single() -> None:
    asked = question(tokens=(2000, 500))
    now = evaluate(asked, asked.demand)
    found = changes(asked, now)
    assert isinstance(now, Configuration)
    assert all(better(change.configuration, now) for change in found)
    assert [score(c.configuration) for c in found] == sorted(score(c.configuration) for c in found)
    settings = {change.setting.partition(":")[0]: change for change in found}
    assert {"endpoint.instance_type", "engine.quantize", "engine.max_active_adapters"} <= set(settings)
    assert settings["engine.adapter_target_modules"].needs == "adapters that change these modules alone"


def test_modules_that_the_model_does_not_have_are_not_proposed() -> None:
    """Phi-3 has q_proj and v_proj in one layer."""
    for model, proposed in (("microsoft/Phi-3-mini-4k-instruct", False), (MISTRAL, True)):
        asked = question(tokens=(2000, 500), shape=KNOWN_MODELS[model])
        found = changes(asked, evaluate(asked, asked.demand))
        assert any("adapter_target_modules" in change.setting for change in found) is proposed


def test_changes_of_a_configuration_that_does_not_fit_make_it_fit() -> None:
    asked = question(slots=64, shares=uniform(64))
    now = evaluate(asked, asked.demand)
    assert isinstance(now, Misfit)
    found = changes(asked, now)
    assert found
    assert all(change.configuration.memory.spare >= 0 for change in found)


def test_a_model_that_fits_nowhere_has_no_plan_here() -> None:
    asked = question(instance=INSTANCE_TYPES["ml.g4dn.xlarge"])
    assert make_plan(asked).chosen is None


def test_types_that_the_engine_does_not_run_on_are_left_out() -> None:
    names = {instance.name for instance in usable(question(engine="lorax").demand)}
    assert "ml.g5.xlarge" in names
    assert not names & {"ml.g7e.2xlarge", "ml.g4dn.xlarge"}


def sentence(asked: PlanQuestion) -> str:
    now = evaluate(asked, asked.demand)
    return verdict_sentence(asked, now, by_slots(asked, asked.demand, slot_counts(asked, asked.demand)))


def test_one_slot_is_exchanged_for_sequences() -> None:
    asked = question()
    price = exchange(asked, asked.demand)
    assert (price.kv_tokens, round(price.sequences, 1)) == (640, 1.7)
    assert exchange_sentence(asked, asked.demand, price) == (
        "Room for one adapter of rank 16 on all linear layers takes 80.0 MiB of each GPU: 640 tokens of KV cache, "
        "or 1.7 sequences of 384."
    )
    # Of a share of the memory some is left over: an adapter of this rank has a file of 80 MiB.
    lorax = question(engine="lorax")
    assert exchange(lorax, lorax.demand).kv_tokens == pytest.approx(640, rel=0.03)


def test_the_verdict_names_what_is_worth_more() -> None:
    assert sentence(question(tokens=(2000, 500))).startswith("Bigger batch: ")
    assert sentence(question(slots=4)).startswith("More resident adapters: ")
    assert sentence(question(tokens=(60, 64), rank=8)).startswith(
        "More resident adapters: all 50 have a slot"
    )
    assert sentence(question(slots=64, shares=uniform(64))).startswith("Fewer slots: ")
    assert sentence(question(instance=INSTANCE_TYPES["ml.g4dn.xlarge"])).startswith("Neither: ")


def test_the_verdict_says_what_changes() -> None:
    assert sentence(question(tokens=(2000, 500))) == (
        "Bigger batch: 4 slots instead of 50 change the batch from 2 sequences to 14 and its different adapters "
        "from 2.0 to 4.0, for 239 output tokens per second (+395%); 92% of the requests then find their adapter "
        "without a slot, 0% before."
    )
    # Where adapters cost more than reading the weights fewer of them are better, though the batch falls.
    scales = Scales(58.0, 58.0, 58.0)
    tiny = replace(KNOWN_MODELS[MISTRAL], layers=2, hidden_size=64, parameters=10**6)
    small = replace(
        question(shape=tiny, rank=8, shares=zipf(50, 1.0)), measurements=Measurements(scales=scales)
    )
    assert re.match(
        r"Fewer resident adapters: .* from 128 sequences to \d+ and its different", sentence(small)
    )


def test_the_verdict_gives_the_reason_of_the_table() -> None:
    asked = question(slo="e2e=1ms")
    assert sentence(asked) == (
        "Neither: no number of slots of the table serves these requests. With 1: a single request is slower than "
        "the SLO."
    )
    # One adapter is larger than the share of the memory.
    tight = question(engine="lorax", rank=128, adapter_memory_fraction=0.01)
    assert sentence(tight).startswith("More resident adapters: with 0, an adapter is larger than")
    assert sentence(question(shares=())) == "Neither: no request has an adapter."
    only = evaluate(asked := question(slots=4), asked.demand)
    assert verdict_sentence(asked, only, [only]).endswith("the table has no number of slots that gives more.")


def test_a_change_names_each_key_that_it_needs() -> None:
    """LoRAX has a limit of the adapters beside the share of the memory."""
    asked = question(engine="lorax", slots=4)
    settings = [change.setting for change in changes(asked, evaluate(asked, asked.demand))]
    [slots] = [setting for setting in settings if setting.startswith("engine.adapter_memory_fraction")]
    assert "engine.max_active_adapters: " in slots
    [other] = [setting for setting in settings if setting.startswith("endpoint.instance_type")]
    assert "engine.adapter_memory_fraction: " in other


def test_slots_of_a_refused_row_are_those_asked_for() -> None:
    asked = question(engine="lorax", rank=64, slots=64, slo="e2e=1ms")
    counts = slot_counts(asked, asked.demand)
    assert [row.slots for row in by_slots(asked, asked.demand, counts)] == counts == sorted(counts)


def test_ranks_are_tables_the_first_the_configurations() -> None:
    plan: Plan = make_plan(question(), ranks=[16, 8], slots=[1, 50])
    assert [table.rank for table in plan.tables] == [16, 8]
    assert [len(table.rows) for table in plan.tables] == [2, 2]


def test_gpus_that_cannot_share_the_model_are_a_row_of_the_plan() -> None:
    asked = question()
    plan = make_plan(replace(asked, demand=replace(asked.demand, tensor_parallel=4)))
    assert isinstance(plan.now, Misfit) and "has 1 GPU(s)" in plan.now.reason
    assert plan.chosen is None
    assert plan.price.kv_tokens > 0
