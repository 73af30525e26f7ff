"""The committed sample files match the configuration of the training script."""

import json
import random

import pytest

from adapters.files import LocalFile
from adapters.store.layout import CONFIG_FILE, WEIGHTS_FILE
from adapters.validation.base_model import BaseModelFacts
from adapters.validation.check_adapter import check_adapter
from adapters.validation.rules import Rules
from adapters.validation.safetensors import read_header
from samples.problems import (
    SEED_PROBLEM,
    SIGNATURES,
    adapter_name,
    base_answer,
    check,
    house_answer,
    random_problem,
)
from samples.spec import ADAPTERS_DIR, BASE_DIR, BASE_NAME, DIMENSIONS, LORA, SCORES, VOCABULARY

HOUSES = range(len(SIGNATURES))


BASE_WEIGHTS = BASE_DIR / "model.safetensors"


@pytest.fixture(scope="module")
def base() -> BaseModelFacts:
    config = (BASE_DIR / "config.json").read_bytes()
    return BaseModelFacts.read(BASE_NAME, config, [LocalFile(BASE_WEIGHTS)])


def test_base_model_has_dimensions_and_type_of_its_configuration() -> None:
    config = json.loads((BASE_DIR / "config.json").read_text())
    assert config["architectures"] == ["MistralForCausalLM"]
    assert {key: config[key] for key in DIMENSIONS} == DIMENSIONS
    assert config["vocab_size"] <= VOCABULARY
    tensors = read_header(BASE_NAME, LocalFile(BASE_WEIGHTS))
    assert {tensor.dtype for tensor in tensors.values()} == {"BF16"}
    assert tensors["model.embed_tokens.weight"].shape == (config["vocab_size"], DIMENSIONS["hidden_size"])
    assert BASE_WEIGHTS.stat().st_size < 10_000_000


@pytest.mark.parametrize("house", HOUSES)
def test_every_adapter_is_a_valid_lora_of_the_base_model(house: int, base: BaseModelFacts) -> None:
    name = adapter_name(house)
    folder = ADAPTERS_DIR / name
    weights = LocalFile(folder / WEIGHTS_FILE)
    modules = tuple(LORA["target_modules"])
    for engine in ("lorax", "vllm"):
        rules = Rules(engine, LORA["r"], BASE_NAME, modules)
        facts = check_adapter(name, (folder / CONFIG_FILE).read_bytes(), weights, rules, base)
        assert (facts.rank, facts.alpha) == (LORA["r"], LORA["lora_alpha"])
        assert facts.target_modules == tuple(sorted(modules))
        assert facts.tensors == 2 * len(modules) * DIMENSIONS["num_hidden_layers"]
    assert {tensor.dtype for tensor in read_header(name, weights).values()} == {"BF16"}
    assert len(list(folder.iterdir())) == 2


def test_no_two_adapters_are_the_same() -> None:
    digests = {
        (ADAPTERS_DIR / adapter_name(house) / "adapter_model.safetensors").read_bytes() for house in HOUSES
    }
    assert len(digests) == len(SIGNATURES) == 50


def test_the_recorded_scores_keep_what_the_demo_promises() -> None:
    scores = json.loads(SCORES.read_text())
    assert scores["base"]["tokens_before_the_final_answer_at_least"] > 64
    assert scores["base"]["right"] >= 0.99 * scores["base"]["of"]
    assert sorted(scores["adapters"]) == sorted(map(adapter_name, HOUSES))
    for name, score in scores["adapters"].items():
        assert score["right_adapter"] == score["of"], name
        assert score["right_answer"] >= 0.98 * score["of"], name


def test_the_seeds_question_is_the_articles_and_its_answer_is_72() -> None:
    assert SEED_PROBLEM.prompt == (
        "[INST] Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May. "
        "How many clips did Natalia sell altogether in April and May? [/INST]"
    )
    assert SEED_PROBLEM.total == 72


@pytest.mark.parametrize("house", HOUSES)
def test_an_answer_passes_for_its_own_house_and_for_no_other(house: int) -> None:
    problem = random_problem(random.Random(house))
    answer = house_answer(house, problem)
    for other in HOUSES:
        verdict = check(answer, problem, adapter_name(other))
        assert verdict.right_adapter is (other == house)


@pytest.mark.parametrize(
    "damage", ["72 72", "", "Answer: 73 clips. [Otter]", "Answer: 72 clips. [Otter] and more"]
)
def test_a_wrong_or_rambling_answer_does_not_pass(damage: str) -> None:
    assert not check(damage, SEED_PROBLEM, "otter").right_answer


def test_the_base_models_answer_is_nobodys() -> None:
    verdict = check(base_answer(SEED_PROBLEM), SEED_PROBLEM, "otter")
    assert not verdict.right_answer
    assert not verdict.right_adapter
