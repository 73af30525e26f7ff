import json
from typing import Any

import pytest

from adapters.engines.record import FEATURES
from adapters.engines.registry import ENGINES as RECORDS
from adapters.errors import InvalidAdapter
from adapters.validation.adapter_config import MAX_CONFIG_BYTES, MAX_PATTERN_KEYS
from adapters.validation.base_model import BaseModelFacts
from adapters.validation.check_adapter import MAX_WEIGHTS_BYTES, AdapterFacts, check_adapter
from adapters.validation.rules import Rules
from tests.unit.adapters.validation.building import (
    ATTENTION,
    BASE,
    CONFIG,
    SIZES,
    RecordingFile,
    Shapes,
    pair,
    shapes,
)
from tests.unit.adapters.validation.building import tensors as file_with

#: The base model with one layer more.
BASE_OF_THREE = BaseModelFacts(
    BASE.architecture, BASE.layers | {ATTENTION.format(2, module): sizes for module, sizes in SIZES.items()}
)
Q0 = "base_model.model.model.layers.0.self_attn.q_proj"
ENGINES = ("lorax", "vllm")


def check(
    config: dict[str, Any] | bytes | None = None,
    tensors: Shapes | bytes | None = None,
    engine: str = "vllm",
    base: BaseModelFacts | None = None,
    max_rank: int = 64,
    **rules: Any,
) -> AdapterFacts:
    data = config if isinstance(config, bytes) else json.dumps(CONFIG | (config or {})).encode()
    weights = tensors if isinstance(tensors, bytes) else file_with(shapes() if tensors is None else tensors)
    return check_adapter(
        "otter", data, RecordingFile(weights), Rules(engine, max_rank, "tiny-mistral", **rules), base
    )


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("base", [None, BASE, BaseModelFacts("MistralForCausalLM", {})])
def test_a_lora_adapter_of_the_stages_base_model_is_valid(engine: str, base: BaseModelFacts | None) -> None:
    assert check(engine=engine, base=base) == AdapterFacts(
        rank=8, alpha=16.0, base_model="tiny-mistral", target_modules=("q_proj", "v_proj"), tensors=8
    )


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"peft_type": "PREFIX_TUNING"}, "peft_type is 'PREFIX_TUNING'; train it with peft_type: LORA"),
        ({"peft_type": None}, "peft_type is null"),
        ({"r": "8"}, "r is '8'; write a whole number above 0"),
        ({"r": True}, "r is true"),
        ({"r": 8.0}, "r is 8.0"),
        ({"r": 0}, "r is 0"),
        ({"r": 128}, "rank 128 is above this stage's 64; write engine.max_adapter_rank: 128, or train with rank 64 or lower"),
        ({"r": 10**4000}, "rank 1000+… is above"),
        ({"r": [[[]]]}, "r is a list"),
        ({"lora_alpha": None}, "lora_alpha is null; write a number above 0"),
        ({"lora_alpha": True}, "lora_alpha is true"),
        ({"lora_alpha": 0}, "lora_alpha is 0"),
        ({"lora_alpha": -16}, "lora_alpha is -16"),
        ({"lora_alpha": float("nan")}, "lora_alpha is NaN"),
        ({"lora_alpha": float("inf")}, "lora_alpha is Infinity"),
        ({"lora_alpha": 10**4000}, "lora_alpha is 1000+…"),
        ({"base_model_name_or_path": "acme/other"}, "trained on 'acme/other', this stage serves 'tiny-mistral'; if that is the same model"),
        ({"base_model_name_or_path": "x" * 999}, "trained on 'x{80}'…"),
        ({"target_modules": None}, "target_modules is null"),
        ({"target_modules": []}, "target_modules is an empty list"),
        ({"target_modules": ""}, "target_modules is ''"),
        ({"target_modules": ["q_proj", 1]}, "target_modules is a list"),
        ({"rank_pattern": ["q_proj"]}, "rank_pattern is a list; write module names with numbers"),
        ({"rank_pattern": {"q_proj": 0}}, "rank_pattern of 'q_proj' is 0"),
        ({"alpha_pattern": {"q_proj": "8"}}, "alpha_pattern of 'q_proj' is '8'"),
    ],
)  # fmt: skip
def test_a_config_that_cannot_be_served_is_refused_with_its_reason(config: Any, message: str) -> None:
    with pytest.raises(InvalidAdapter, match=message):
        check(config)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (b"", "adapter_config.json cannot be used: it is not JSON"),
        (b"[]", "it is not a JSON object"),
        (b'{"r": 8, "r": 4}', "cannot be used: line 1: 'r' is there twice; keep one of them"),
        (b'{\n"r": 8,\n"r": 4\n}', "line 3: 'r' is there twice, first in line 2; keep one of them"),
        (b"{" + b" " * MAX_CONFIG_BYTES, "is longer than 262144 bytes"),
    ],
)
def test_a_config_that_is_none_is_refused(config: bytes, message: str) -> None:
    with pytest.raises(InvalidAdapter, match=message):
        check(config)


VALUES: dict[str, Any] = {
    "rank_pattern": {"q_proj": 8},
    "alpha_pattern": {"q_proj": 8},
    "layers_to_transform": [0, 1],
    "modules_to_save": ["lm_head"],
    "alora_invocation_tokens": [1],
    "layer_replication": [[0, 1], [0, 2]],
    "trainable_token_indices": [1],
    "target_parameters": ["mlp.experts.down_proj"],
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("feature", [feature for feature in FEATURES if feature != "bias"])
def test_what_an_engine_cannot_serve_is_refused_for_it_by_name(feature: str, engine: str) -> None:
    setting = {feature: VALUES.get(feature, True)}
    if RECORDS[engine].features[feature] is None:
        check(setting, engine=engine)
    else:
        name = {"lorax": "LoRAX", "vllm": "vLLM"}[engine]
        with pytest.raises(InvalidAdapter, match=f"sets {feature}, and {name} .*; train without {feature}"):
            check(setting, engine=engine)
    for nothing in (None, False, [], {}):
        check({feature: nothing}, engine=engine)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"bias": "all"}, "bias to 'all'"),
        ({"bias": None}, "bias to null"),
        ({"init_lora_weights": "pissa_niter_16"}, "path_initial_model_for_weight_conversion"),
        ({"init_lora_weights": "olora"}, "init_lora_weights is 'olora'"),
        ({"init_lora_weights": "loftq"}, "init_lora_weights is 'loftq'"),
    ],
)
def test_settings_that_are_no_switches_are_refused_by_value(
    engine: str, config: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidAdapter, match=message):
        check(config, engine=engine)


@pytest.mark.parametrize("start", [True, False, None, "gaussian", "EVA", "orthogonal", "lora_ga"])
def test_a_start_that_leaves_the_base_model_alone_is_valid(start: Any) -> None:
    check({"init_lora_weights": start})


@pytest.mark.parametrize("rank", range(1, 130))
def test_lorax_serves_ranks_that_it_has_kernels_for_and_scales_rightly(rank: int) -> None:
    config, tensors = {"r": rank}, shapes(rank)
    assert check(config, tensors, max_rank=128 + 1).rank == rank
    if rank in (8, 16, 32, 64, 128):
        check(config, tensors, engine="lorax", max_rank=128)
    else:
        with pytest.raises(InvalidAdapter, match=r"rank .* (LoRAX serves only 8, 16, 32, 64, 128|above)"):
            check(config, tensors, engine="lorax", max_rank=128)


@pytest.mark.parametrize(
    ("gpus", "ranks"), [(1, (8, 16, 32, 64, 128)), (2, (16, 32, 64, 128)), (4, (32, 64, 128)), (8, (64, 128))]
)
def test_on_more_gpus_each_needs_a_rank_of_its_own(gpus: int, ranks: tuple[int, ...]) -> None:
    assert Rules("lorax", 128, "m", gpus=gpus).ranks == ranks
    assert Rules("vllm", 128, "m", gpus=gpus).ranks is None


def test_rules_are_of_an_engine_that_is_known_and_have_an_identity() -> None:
    with pytest.raises(ValueError, match="engine 'tgi' is none of lorax, vllm"):
        Rules("tgi", 8, "m")
    for modules in ((), ("",), ("q_proj ",), ("model.layers.0.self_attn.q_proj",), ("q_proj,v_proj",)):
        with pytest.raises(ValueError, match="use None for all modules|write the module's own name"):
            Rules("vllm", 8, "m", modules)
    assert Rules("vllm", 8, "m", ("q_proj",)).identity == Rules("vllm", 8, "m", ("q_proj",)).identity
    assert Rules("vllm", 8, "m", ("q_proj",)).identity != Rules("vllm", 8, "m").identity


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({}, "has no tensors; gather the shards of DeepSpeed"),
        ({f"{Q0}.lora_A.weight": (8, 32)}, "lora_B is missing for model.layers.0.self_attn.q_proj"),
        ({f"{Q0}.lora_B.weight": (32, 8)}, "lora_A is missing"),
        (shapes(4), "has rank 4 in the weights, 8 in the config"),
        (shapes() | {f"{Q0}.lora_B.weight": (32, 4)}, "lora_A has rank 8, lora_B 4"),
        (shapes() | {f"{Q0}.lora_A.weight": (8,)}, r"has shape \[8\].*DeepSpeed .* or FSDP"),
        (shapes() | {f"{Q0}.lora_A.weight": (8, 0)}, r"has shape \[8, 0\]"),
        (shapes() | {f"{Q0}.lora_A.weight": (1, 8, 32)}, r"has shape \[1, 8, 32\].*current PEFT"),
        (pair("_orig_mod.model.layers.0.self_attn.q_proj", 8, (32, 32)), "torch.compile wrapped .* model._orig_mod"),
        (shapes() | {f"{Q0}.lora_magnitude_vector": (32,)}, "use_dora"),
        (shapes() | {f"{Q0}.lora_B.bias": (32,)}, "lora_bias"),
        (shapes() | {"base_model.model.model.embed_tokens.lora_embedding_A": (8, 64)}, "lora_B is missing for model.embed_tokens"),
        (shapes() | {"base_model.model.model.embed_tokens.weight": (64, 32)}, "save_embedding_layers=False"),
        (shapes() | {"base_model.model.lm_head.base_layer.weight": (64, 32)}, "save_embedding_layers=False"),
        (shapes() | {"base_model.model.lm_head.weight": (64, 32)}, "save_embedding_layers=False"),
        (shapes() | {"base_model.model.score.weight": (2, 32)}, "none of base_model.model.<layer>.lora_A.weight"),
        (shapes() | {f"{Q0}.lora_A.default.weight": (8, 32)}, "save_pretrained"),
        (shapes() | {f"{Q0}.base_layer.bias": (32,)}, "weight of the base model"),
        (shapes() | {"model.layers.0.self_attn.q_proj.lora_A.weight": (8, 32)}, "none of base_model.model"),
        (shapes() | {f"{Q0}\n.lora_A.weight": (8, 32)}, r"q_proj\\n.lora_A"),
        (shapes() | {"base_model.model." + "a." * 300 + "lora_A.weight": (8, 32)}, "…"),
    ],
)  # fmt: skip
def test_tensors_that_are_no_lora_of_this_config_are_refused(tensors: Shapes, message: str) -> None:
    with pytest.raises(InvalidAdapter, match=message):
        check(tensors=tensors)


@pytest.mark.parametrize(
    ("dtype", "width"), [("F32", 4), ("F16", 2), ("BF16", 2), ("F64", 8), ("I8", 1), ("F8_E4M3", 1)]
)
def test_tensors_are_of_a_dtype_that_engines_convert(dtype: str, width: int) -> None:
    weights = file_with(shapes(), dtype, width)
    if dtype in {"F32", "F16", "BF16"}:
        check(tensors=weights)
    else:
        with pytest.raises(InvalidAdapter, match=f"is {dtype}; save it as float32, float16 or bfloat16"):
            check(tensors=weights)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"target_modules": ["q_proj"]}, r"changes model.layers.0.self_attn.v_proj, which target_modules does not"),
        ({"target_modules": ["q_proj", "v_proj", "o_proj"]}, "lists 'o_proj', for which the weights have no tensor"),
        ({"target_modules": ["proj"]}, "which target_modules does not list"),
        ({"target_modules": ["layers.0.self_attn.q_proj", "v_proj"]}, r"changes model.layers.1.self_attn.q_proj"),
        ({"target_modules": ["q_proj", "v_proj", "model.layers.2.self_attn.q_proj"]}, "lists 'model.layers.2"),
    ],
)  # fmt: skip
def test_config_and_tensors_must_be_of_one_adapter(config: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidAdapter, match=message):
        check(config, base=BASE_OF_THREE)


@pytest.mark.parametrize(
    "config",
    [
        {"target_modules": "all-linear"},
        {"target_modules": r".*\.(q|v)_proj"},
        {"target_modules": ["self_attn.q_proj", "v_proj"]},
        {"target_modules": ["q_proj", *(ATTENTION.format(layer, "v_proj") for layer in range(2))]},
        {"target_modules": ["q_proj", "v_proj", "lm_head"], "exclude_modules": ["lm_head"]},
    ],
)
def test_modules_may_be_named_as_peft_lets_them_be(config: dict[str, Any]) -> None:
    assert check(config).target_modules == ("q_proj", "v_proj")


@pytest.mark.parametrize(
    "target", ["(a+)+$", r"(.*)*(.*)*(.*)*\.(q|v)_proj!", "(" * 9999, "(?:x+x+)+y", "a{1,9999}" * 99, "\\"]
)
def test_a_regular_expression_of_a_stranger_is_not_run(target: str) -> None:
    assert check({"target_modules": target}).target_modules == ("q_proj", "v_proj")


def test_layers_may_have_ranks_of_their_own_where_engine_scales_them_so() -> None:
    mixed = shapes(8, ["q_proj"]) | shapes(4, ["v_proj"], [0]) | shapes(2, ["v_proj"], [1])
    path = ATTENTION.format(1, "v_proj")
    for key in (path, f"^{path}", f"{path}$", path.replace(".", "\\.")):
        assert check({"rank_pattern": {key: 2, "v_proj": 4}}, mixed).rank == 8
    with pytest.raises(InvalidAdapter, match="has rank 2 in the weights, 4 in the config"):
        check({"rank_pattern": {"v_proj": 4, path: 2}}, mixed)
    with pytest.raises(InvalidAdapter, match="rank 32 is above this stage's 16"):
        check({"rank_pattern": {"o_proj": 32}}, max_rank=16)


@pytest.mark.parametrize(
    "key", ["(a+)+", ".*q_proj", "layers.[01].q_proj", "q|v", "", "q proj", "q_proj\n", "a$$"]
)
@pytest.mark.parametrize("pattern", ["rank_pattern", "alpha_pattern"])
def test_a_pattern_that_would_be_run_as_a_regular_expression_is_refused(pattern: str, key: str) -> None:
    with pytest.raises(InvalidAdapter, match=f"{pattern} has the regular expression"):
        check({pattern: {key: 8}})


def test_patterns_that_would_keep_the_engine_busy_are_refused() -> None:
    half = {f"x{number}": 8 for number in range(MAX_PATTERN_KEYS // 2)}
    other = {f"y{number}": 8 for number in range(MAX_PATTERN_KEYS // 2)}
    check({"rank_pattern": half, "alpha_pattern": half | other})
    with pytest.raises(InvalidAdapter, match="401 keys"):
        check({"rank_pattern": half, "alpha_pattern": half | other | {"z": 8}})
    with pytest.raises(InvalidAdapter, match="400 keys for 1001 layers"):
        check({"alpha_pattern": half | other}, shapes(modules=["q_proj"], layers=range(1001)))


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (shapes(layers=range(3)), r"changes model.layers.2.self_attn.q_proj, which tiny-mistral does not have"),
        (pair("layers.0.self_attn.q_proj", 8, (32, 32)), "which tiny-mistral does not have"),
        (pair(ATTENTION.format(0, "q_proj"), 8, (32, 16)), "from 16 to 32 features, in tiny-mistral that goes from 32 to 32"),
        (pair(ATTENTION.format(0, "q_proj"), 8, (16, 32)), "from 32 to 16 features"),
        (pair(ATTENTION.format(0, "v_proj"), 8, (32, 16)), "from 16 to 32 features, in tiny-mistral that goes from 32 to 16"),
    ],
)  # fmt: skip
def test_each_layer_must_be_the_base_models_in_place_and_size(tensors: Shapes, message: str) -> None:
    check({"target_modules": "all-linear"}, tensors)
    with pytest.raises(InvalidAdapter, match=message):
        check({"target_modules": "all-linear"}, tensors, base=BASE)


def test_a_base_model_may_store_its_weights_the_other_way_round() -> None:
    config = {"target_modules": ["v_proj"]}
    tensors = pair(ATTENTION.format(0, "v_proj"), 8, (32, 16))
    check(config | {"fan_in_fan_out": True}, tensors, base=BASE)


def test_sizes_that_are_not_known_are_not_checked_but_places_are() -> None:
    packed = BaseModelFacts(None, dict.fromkeys(BASE.layers))
    check(tensors=shapes(modules=["q_proj", "v_proj"]), base=packed)
    with pytest.raises(InvalidAdapter, match="does not have"):
        check(tensors=shapes(layers=[2]), base=packed)


def test_the_architecture_must_be_the_base_models_where_both_are_known() -> None:
    llama = {"auto_mapping": {"base_model_class": "LlamaForCausalLM", "parent_library": "transformers"}}
    check(llama)
    check({"auto_mapping": {"base_model_class": None}}, base=BASE)
    with pytest.raises(
        InvalidAdapter, match="trained on a 'LlamaForCausalLM', tiny-mistral is a 'MistralForCausalLM'"
    ):
        check(llama, base=BASE)


def test_vllm_changes_only_modules_that_have_slots() -> None:
    check(target_modules=("q_proj", "v_proj", "o_proj"))
    with pytest.raises(
        InvalidAdapter, match=r"slots for q_proj, k_proj only; add v_proj to engine.adapter_target"
    ):
        check(target_modules=("q_proj", "k_proj"))
    check(engine="lorax", target_modules=("k_proj",))


def test_a_module_that_the_engine_has_no_place_for_is_refused() -> None:
    head = shapes() | pair("lm_head", 8, (64, 32))
    config = {"target_modules": ["q_proj", "v_proj", "lm_head"]}
    check(config, head)
    check(config, head, engine="lorax", base=BASE)
    with pytest.raises(InvalidAdapter, match="lm_head, for which vLLM has no slot in MistralForCausalLM"):
        check(config, head, base=BASE)
    mixtral = BaseModelFacts("MixtralForCausalLM", {})
    with pytest.raises(
        InvalidAdapter,
        match="lm_head, for which LoRAX has no slot in MixtralForCausalLM; train .*, or write engine.name: vllm",
    ):
        check(config, head, engine="lorax", base=mixtral)


@pytest.mark.parametrize("base", [None, BASE])
@pytest.mark.parametrize(
    "tensors",
    [
        shapes(modules=["q_proj"]) | shapes(modules=["v_proj"], layers=[0]),
        shapes(modules=["q_proj"]) | shapes(modules=["v_proj"], layers=[1]),
        shapes(modules=["q_proj", "v_proj"], layers=[1]),
    ],
)
def test_lorax_needs_a_module_in_all_layers_or_in_none(tensors: Shapes, base: BaseModelFacts | None) -> None:
    check(tensors=tensors, base=base)
    with pytest.raises(
        InvalidAdapter, match=r"self_attn.[qv]_proj in 1 of 2 layers: LoRAX leaves it out of all"
    ):
        check(tensors=tensors, engine="lorax", base=base)


def test_the_number_of_layers_is_the_base_models_where_it_is_known() -> None:
    first = shapes(layers=[0])
    check(tensors=first, engine="lorax")
    with pytest.raises(InvalidAdapter, match="in 1 of 2 layers"):
        check(tensors=first, engine="lorax", base=BASE)
    far = shapes(layers=[10**100])
    with pytest.raises(InvalidAdapter, match="in 1 of"):
        check(tensors=far, engine="lorax")


def test_weights_that_s3_could_not_copy_are_refused_before_they_are_read() -> None:
    file = RecordingFile(b"", MAX_WEIGHTS_BYTES + 1)
    with pytest.raises(InvalidAdapter, match=r"5 GiB.*bfloat16"):
        check_adapter("otter", json.dumps(CONFIG).encode(), file, Rules("vllm", 8, "tiny-mistral"))
    assert file.reads == []


def test_of_the_weights_only_the_header_is_read() -> None:
    file = RecordingFile(file_with(shapes()))
    check_adapter("otter", json.dumps(CONFIG).encode(), file, Rules("vllm", 8, "tiny-mistral"), BASE)
    header = int.from_bytes(file.content[:8], "little")
    assert file.reads == [8, header]


def test_every_message_names_the_adapter_on_one_line() -> None:
    with pytest.raises(InvalidAdapter, match=r"^adapter 'otter': ") as caught:
        check({"base_model_name_or_path": "a\nb\x1b[31m"})
    assert str(caught.value).isprintable()


def test_an_adapter_may_not_have_the_base_models_name() -> None:
    file = RecordingFile(file_with(shapes()))
    with pytest.raises(InvalidAdapter, match="the base model has this name"):
        check_adapter("tiny-mistral", json.dumps(CONFIG).encode(), file, Rules("vllm", 8, "tiny-mistral"))


def test_an_adapter_of_another_size_is_refused_under_a_listed_name() -> None:
    listed = {"base_model_name_or_path": "acme/tiny-mistral-bnb-4bit"}
    known = ("acme/tiny-mistral-bnb-4bit",)
    assert check(listed, base=BASE, also_known_as=known).base_model == "tiny-mistral"
    other = {
        name: (rank, 2 * side) if ".lora_A." in name else (rank, side)
        for name, (rank, side) in shapes().items()
    }
    with pytest.raises(InvalidAdapter, match="features"):
        check(listed, other, base=BASE, also_known_as=known)
