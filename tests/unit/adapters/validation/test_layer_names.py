"""The names of a layer: a base model's checkpoint, PEFT and the engine may each have another."""

import json
import time

import pytest

from adapters.engines.architectures import ArchitectureFacts, Rename, kinds
from adapters.engines.registry import ENGINES
from adapters.errors import InvalidAdapter
from adapters.validation.base_model import BaseModelFacts
from adapters.validation.check_adapter import check_adapter
from adapters.validation.rules import Rules
from tests.unit.adapters.validation.building import CONFIG, RecordingFile, Shapes, pair, tensors


def check(
    engine: str, architecture: str | None, checkpoint: Shapes, adapter: Shapes, **config: object
) -> tuple[str, ...]:
    """The modules of an adapter that is valid for a base model with this checkpoint."""
    stored = {f"{path}.weight": shape for path, shape in checkpoint.items()}
    listed = None if architecture is None else [architecture]
    base = BaseModelFacts.read(
        "tiny", json.dumps({"architectures": listed}).encode(), [RecordingFile(tensors(stored))]
    )
    settings = CONFIG | {"base_model_name_or_path": "tiny", "target_modules": "all-linear"} | config
    return check_adapter(
        "otter",
        json.dumps(settings).encode(),
        RecordingFile(tensors(adapter)),
        Rules(engine, 64, "tiny"),
        base,
    ).target_modules


#: Engine, class, a layer of the checkpoint, and names that PEFT may write for it.
NAMES = [
    ("vllm", "LlamaForCausalLM", "model.layers.0.mlp.up_proj", ["model.layers.0.mlp.up_proj"]),
    ("vllm", "Phi3ForCausalLM", "model.layers.0.mlp.gate_up_proj", ["model.layers.0.mlp.gate_up_proj"]),
    ("vllm", "Gemma3ForConditionalGeneration", "language_model.model.layers.0.mlp.up_proj",
     ["language_model.model.layers.0.mlp.up_proj", "model.language_model.layers.0.mlp.up_proj"]),
    ("vllm", "Qwen2_5_VLForConditionalGeneration", "model.layers.0.mlp.up_proj",
     ["model.layers.0.mlp.up_proj", "model.language_model.layers.0.mlp.up_proj"]),
    ("vllm", "Qwen2VLForConditionalGeneration", "model.language_model.layers.0.mlp.up_proj",
     ["model.layers.0.mlp.up_proj", "model.language_model.layers.0.mlp.up_proj"]),
    ("vllm", "Qwen3VLForConditionalGeneration", "model.language_model.layers.0.mlp.up_proj",
     ["model.language_model.layers.0.mlp.up_proj"]),
    ("vllm", "MixtralForCausalLM", "model.layers.0.block_sparse_moe.experts.1.w1",
     ["model.layers.0.block_sparse_moe.experts.1.w1", "model.layers.0.block_sparse_moe.experts.1.gate_proj"]),
    ("vllm", "Qwen3MoeForCausalLM", "model.layers.0.mlp.experts.1.up_proj",
     ["model.layers.0.mlp.experts.1.up_proj"]),
    ("vllm", "GptOssForCausalLM", "model.layers.0.self_attn.q_proj", ["model.layers.0.self_attn.q_proj"]),
    ("vllm", "GPTNeoXForCausalLM", "gpt_neox.layers.0.attention.query_key_value",
     ["gpt_neox.layers.0.attention.query_key_value"]),
    ("vllm", "GPTNeoXForCausalLM", "layers.0.attention.dense", ["gpt_neox.layers.0.attention.dense"]),
    ("vllm", "HeliumForCausalLM", "model.layers.0.mlp.up_proj", ["model.layers.0.mlp.up_proj"]),
    # Blocks that the default config of the class does not have.
    ("vllm", "GraniteMoeHybridForCausalLM", "model.layers.0.self_attn.q_proj", ["model.layers.0.self_attn.q_proj"]),
    ("vllm", "Lfm2ForCausalLM", "model.layers.0.conv.in_proj", ["model.layers.0.conv.in_proj"]),
    ("vllm", "DeepseekV2ForCausalLM", "model.layers.0.self_attn.q_proj", ["model.layers.0.self_attn.q_proj"]),
    ("vllm", "InternVLForConditionalGeneration", "language_model.model.layers.0.mlp.experts.0.up_proj",
     ["model.language_model.layers.0.mlp.experts.0.up_proj"]),
    ("vllm", "LlamaForCausalLM", "lm_head", ["base_model.model.lm_head"]),
    ("vllm", None, "h.0.attn.c_attn", ["h.0.attn.c_attn"]),
    ("lorax", "GPT2LMHeadModel", "h.0.attn.c_attn", ["transformer.h.0.attn.c_attn"]),
    ("lorax", "GPT2LMHeadModel", "transformer.h.0.attn.c_attn", ["transformer.h.0.attn.c_attn"]),
    ("lorax", "BloomForCausalLM", "h.0.mlp.dense_h_to_4h", ["transformer.h.0.mlp.dense_h_to_4h"]),
]  # fmt: skip


@pytest.mark.parametrize(("engine", "architecture", "stored", "names"), NAMES)
def test_a_layer_may_have_each_name_that_the_engine_takes_for_it(
    engine: str, architecture: str | None, stored: str, names: list[str]
) -> None:
    for name in names:
        assert check(engine, architecture, {stored: (32, 16)}, pair(name, 8, (32, 16)))
        with pytest.raises(InvalidAdapter, match="from 24 to 32 features, in tiny that goes from 16 to 32"):
            check(engine, architecture, {stored: (32, 16)}, pair(name, 8, (32, 24)))


@pytest.mark.parametrize(
    ("engine", "architecture", "stored", "name"),
    [
        # vLLM has no rename for these names: it would map them to no layer, and answer as the base model.
        ("vllm", "Qwen3VLForConditionalGeneration", "model.language_model.layers.0.mlp.up_proj",
         "model.layers.0.mlp.up_proj"),
        ("vllm", "GPTNeoXForCausalLM", "gpt_neox.layers.0.attention.dense", "transformer.h.0.attention.dense"),
        ("lorax", "GPT2LMHeadModel", "h.0.attn.c_attn", "h.0.attn.c_attn"),
        ("lorax", "GPT2LMHeadModel", "h.0.attn.c_attn", "transformer.h.1.attn.c_attn"),
        # The engine's model has one layer for these, and so has the checkpoint.
        ("vllm", "Phi3ForCausalLM", "model.layers.0.mlp.gate_up_proj", "model.layers.0.mlp.up_proj"),
    ],
)  # fmt: skip
def test_a_name_that_stands_for_no_layer_is_refused(
    engine: str, architecture: str, stored: str, name: str
) -> None:
    with pytest.raises(InvalidAdapter, match=f"it changes {name}, which tiny does not have"):
        check(engine, architecture, {stored: (32, 16)}, pair(name, 8, (32, 16)))


Q, V = ("model.layers.0.self_attn." + name for name in ("q_proj", "v_proj"))
HEADS = {"model.embed_tokens": (64, 16), "model.layers.0.self_attn.q_proj": (16, 16)}


@pytest.mark.parametrize(
    ("architecture", "has_slot"),
    [
        *((name, False) for name in ("MistralForCausalLM", "Gemma3ForCausalLM", "Glm4ForCausalLM")),
        *((name, False) for name in ("Qwen2ForCausalLM", "Gemma2ForCausalLM", "DeepseekV3ForCausalLM")),
        *((name, True) for name in ("LlamaForCausalLM", "Qwen3ForCausalLM", "Phi3ForCausalLM")),
        *((name, True) for name in ("GraniteForCausalLM", "MixtralForCausalLM")),
    ],
)
def test_the_head_has_a_slot_where_the_engines_class_gives_it_one(architecture: str, has_slot: bool) -> None:
    changed = pair("lm_head", 8, (64, 16))
    if has_slot:
        assert check("vllm", architecture, HEADS, changed) == ("lm_head",)
    else:
        with pytest.raises(
            InvalidAdapter,
            match=f"it changes lm_head, for which vLLM has no slot in {architecture}; train .*q_proj.* only",
        ):
            check("vllm", architecture, HEADS, changed)


@pytest.mark.parametrize(
    ("architecture", "stored", "head"),
    [
        ("LlavaForConditionalGeneration", "language_model.model.embed_tokens", "language_model.lm_head"),
        ("LlavaForConditionalGeneration", "model.language_model.embed_tokens", "lm_head"),
        ("Qwen3VLForConditionalGeneration", "model.language_model.embed_tokens", "lm_head"),
    ],
)
def test_the_tied_head_of_a_language_model_within_another_is_a_layer(
    architecture: str, stored: str, head: str
) -> None:
    assert check("vllm", architecture, {stored: (64, 16)}, pair(head, 8, (64, 16))) == ("lm_head",)


def embedding(path: str, tokens: int, features: int) -> dict[str, tuple[int, ...]]:
    start = f"base_model.model.{path}.lora_embedding_"
    return {f"{start}A": (8, tokens), f"{start}B": (features, 8)}


def test_embeddings_can_be_changed_where_the_engine_has_a_slot_for_them() -> None:
    changed = embedding("model.embed_tokens", 64, 16)
    assert check("vllm", "LlamaForCausalLM", HEADS, changed) == ("embed_tokens",)
    with pytest.raises(InvalidAdapter, match="from 16 to 64 features, in tiny that goes from 64 to 16"):
        check("vllm", "LlamaForCausalLM", HEADS, embedding("model.embed_tokens", 16, 64))
    with pytest.raises(
        InvalidAdapter, match="embed_tokens, for which vLLM has no slot in MistralForCausalLM"
    ):
        check("vllm", "MistralForCausalLM", HEADS, changed)
    with pytest.raises(
        InvalidAdapter, match="for which LoRAX has no slot in LlamaForCausalLM; .* write engine.name: vllm"
    ):
        check("lorax", "LlamaForCausalLM", HEADS, changed)
    for unknown in (None, "HeliumForCausalLM"):
        with pytest.raises(InvalidAdapter, match="embeddings, for which tiny may have no slot"):
            check("vllm", unknown, HEADS, changed)


@pytest.mark.parametrize("engine", ENGINES)
def test_tensors_have_the_names_that_peft_gives_to_their_kind_of_layer(engine: str) -> None:
    # LoRAX looks for lora_A.weight alone, so it would load the first one without effect.
    stored = {Q: (16, 16)}
    with pytest.raises(InvalidAdapter, match=f"for {Q} are named lora_embedding_A, which is not PEFT's"):
        check(engine, "LlamaForCausalLM", stored, embedding(Q, 16, 16))
    linear, other = pair(Q, 8, (16, 16)), embedding(Q, 16, 16)
    a, b = linear
    as_a, as_b = other
    for mixed in ({a: linear[a], as_b: other[as_b]}, linear | {as_a: other[as_a]}, {b: linear[b]} | other):
        with pytest.raises(InvalidAdapter, match=f"tensors of {Q} have the names of a linear layer's .* and"):
            check(engine, "LlamaForCausalLM", stored, mixed)


def test_embeddings_are_not_changed_as_a_linear_layer() -> None:
    for sizes in ((64, 16), (16, 64)):
        with pytest.raises(InvalidAdapter, match="embed_tokens are named lora_A, which is not PEFT's name"):
            check("vllm", "LlamaForCausalLM", HEADS, pair("model.embed_tokens", 8, sizes))


def test_copies_of_frozen_weights_that_peft_saves_with_a_lora_of_the_head_are_skipped() -> None:
    changed = pair("lm_head", 8, (64, 16))
    copy = {"base_model.model.lm_head.base_layer.weight": (64, 16)}
    for engine in ENGINES:
        assert check(engine, "LlamaForCausalLM", HEADS, changed | copy) == ("lm_head",)
    copies = copy | {"base_model.model.model.embed_tokens.base_layer.weight": (64, 16)}
    both = changed | embedding("model.embed_tokens", 64, 16)
    assert check("vllm", "LlamaForCausalLM", HEADS, both | copies) == ("embed_tokens", "lm_head")
    more = changed | {"base_model.model.lm_head.base_layer.weight": (65, 16)}
    with pytest.raises(
        InvalidAdapter,
        match="weights of lm_head themselves, .* take tiny's; save with save_embedding_layers=False if no tokens were",
    ):
        check("vllm", "LlamaForCausalLM", HEADS, more)
    for other in (changed | copies, both | {"base_model.model.model.embed_tokens.weight": (64, 16)}):
        with pytest.raises(
            InvalidAdapter, match="weight of the base model; save with save_embedding_layers=False"
        ):
            check("vllm", "LlamaForCausalLM", HEADS, other)


@pytest.mark.parametrize(
    ("engine", "architecture", "path", "remedy"),
    [
        (
            "vllm",
            "GPT2LMHeadModel",
            "transformer.h.0.attn.c_attn",
            "train on that, or write engine.name: lorax",
        ),
        ("vllm", "FalconForCausalLM", "transformer.h.0.self_attention.dense", "train on that$"),
        ("vllm", "ClassOfSomeoneElse", "a.b", "train on that$"),
        (
            "lorax",
            "Qwen3ForCausalLM",
            "model.layers.0.mlp.up_proj",
            "train on that, or write engine.name: vllm",
        ),
    ],
)
def test_a_class_for_which_the_engine_serves_no_adapters_is_refused_for_that(
    engine: str, architecture: str, path: str, remedy: str
) -> None:
    with pytest.raises(
        InvalidAdapter, match=f"serves no adapters for '{architecture}', the class of tiny; .*{remedy}"
    ):
        check(engine, architecture, {path: (32, 16)}, pair(path, 8, (32, 16)))


@pytest.mark.parametrize("architecture", ["BioGptForCausalLM", "VipLlavaForConditionalGeneration"])
def test_a_class_that_vllm_runs_by_transformers_takes_adapters(architecture: str) -> None:
    assert check("vllm", architecture, {Q: (32, 16)}, pair(Q, 8, (32, 16)))


@pytest.mark.parametrize(
    ("engine", "architecture", "is_served"),
    [
        ("vllm", "ClassOfSomeoneElse", True),
        # The engine has the class, or LoRAX has no way to run one of code.
        ("vllm", "FalconForCausalLM", False),
        ("lorax", "ClassOfSomeoneElse", False),
    ],
)
def test_a_class_that_comes_as_code_takes_adapters_where_the_engine_runs_it(
    engine: str, architecture: str, is_served: bool
) -> None:
    config = {"architectures": [architecture], "auto_map": {"AutoModelForCausalLM": "a.B"}}
    base = BaseModelFacts.read("tiny", json.dumps(config).encode(), [])
    facts = ENGINES[engine].facts(base.architecture, base.has_code)
    assert facts.takes_adapters == is_served


@pytest.mark.parametrize("module", ["lm_head", "model.layers.0.mlp.fc1"])
@pytest.mark.parametrize(
    "architecture", ["LlavaForConditionalGeneration", "InternVLForConditionalGeneration"]
)
def test_slots_are_not_known_of_a_class_that_takes_any_language_model(architecture: str, module: str) -> None:
    path = f"language_model.{module}"
    assert check("vllm", architecture, {path: (32, 16)}, pair(path, 8, (32, 16)))


@pytest.mark.parametrize(
    ("architecture", "stored"),
    [
        ("LlavaForConditionalGeneration", "vision_tower.vision_model.encoder.layers.0.self_attn.q_proj"),
        ("Qwen3VLForConditionalGeneration", "model.visual.blocks.0.attn.qkv"),
        ("Gemma3ForConditionalGeneration", "vision_tower.vision_model.encoder.layers.0.self_attn.q_proj"),
        ("GPTBigCodeForCausalLM", "transformer.h.0.attn.c_attn"),
        ("Qwen3MoeForCausalLM", "model.layers.0.mlp.gate"),
        ("DeepseekV3ForCausalLM", "model.layers.0.self_attn.indexer.wq_b"),
    ],
)
def test_a_layer_without_a_slot_is_refused(architecture: str, stored: str) -> None:
    with pytest.raises(InvalidAdapter, match=f"it changes {stored}, for which vLLM has no slot in"):
        check("vllm", architecture, {stored: (32, 16)}, pair(stored, 8, (32, 16)))


def test_two_names_of_one_layer_in_one_adapter_are_refused() -> None:
    stored = "language_model.model.layers.0.mlp.up_proj"
    other = "model.language_model.layers.0.mlp.up_proj"
    with pytest.raises(InvalidAdapter, match=f"one layer under two names, {stored} and {other}"):
        check(
            "vllm",
            "Gemma3ForConditionalGeneration",
            {stored: (32, 16)},
            pair(stored, 8, (32, 16)) | pair(other, 8, (32, 16)),
        )


@pytest.mark.parametrize("engine", ENGINES)
def test_a_target_that_the_base_model_does_not_have_is_passed_over(engine: str) -> None:
    stored, changed = {Q: (32, 16), V: (32, 16)}, pair(Q, 8, (32, 16))
    for absent in ("Wqkv", "model.layers.1.self_attn.q_proj"):
        assert check(engine, "LlamaForCausalLM", stored, changed, target_modules=["q_proj", absent])
    for lacking in ("v_proj", "self_attn.v_proj", V):
        with pytest.raises(InvalidAdapter, match=f"lists '{lacking}', for which the weights have no tensor"):
            check(engine, "LlamaForCausalLM", stored, changed, target_modules=["q_proj", lacking])


@pytest.mark.parametrize(
    ("architecture", "changed", "other"),
    [
        # The class that is trained has the head, and all experts of a block, under another name.
        ("GPTNeoXForCausalLM", "gpt_neox.layers.0.attention.query_key_value", "embed_out"),
        ("MixtralForCausalLM", Q, "model.layers.0.block_sparse_moe.experts.0.w1"),
        ("Qwen3MoeForCausalLM", Q, "model.layers.0.mlp.experts.0.up_proj"),
    ],
)
def test_a_target_that_the_base_models_file_alone_has_is_passed_over(
    architecture: str, changed: str, other: str
) -> None:
    targets = [path.rpartition(".")[2] for path in (changed, other)]
    stored = {changed: (32, 16), other: (32, 16)}
    assert check("vllm", architecture, stored, pair(changed, 8, (32, 16)), target_modules=targets)


@pytest.mark.parametrize(
    ("rename", "name", "renamed"),
    [
        (
            Rename("prefix", "model.", "language_model.model."),
            "model.model.a",
            "language_model.model.model.a",
        ),
        (Rename("prefix", "model.", "x."), "a.model.b", "a.model.b"),
        (Rename("suffix", ".b", ".c"), "a.b.b", "a.b.c"),
        (Rename("part", ".attn.", ".x."), "a.attn.attn.attn.b", "a.x.attn.attn.b"),
        (Rename("once", "l[.]", "m."), "l.l.a", "m.l.a"),
        (Rename("pattern", "l[.]", "m."), "l.l.a", "m.m.a"),
    ],
)
def test_renames_are_vllms(rename: Rename, name: str, renamed: str) -> None:
    assert rename.apply(name) == renamed


@pytest.mark.parametrize(
    "name", ["model." + "a." * 120, "model." + "lm_head." * 30, "." * 250, "base_model.model." * 15]
)
def test_no_name_keeps_a_rename_busy(name: str) -> None:
    started = time.process_time()
    for engine in ENGINES.values():
        for facts in engine.architectures.values():
            facts.of_adapter(name)
    assert time.process_time() - started < 1


def test_a_missing_prefix_is_added_only_if_it_can_be_told() -> None:
    facts = ArchitectureFacts(kinds({"a.h.*": "x y", "b.h.*": "y", "model.layers.*.mlp": "z"}))
    assert [facts.of_checkpoint(f"h.0.{name}") for name in "xy"] == ["a.h.0.x", "h.0.y"]
    assert facts.of_checkpoint("mlp.z") == "mlp.z"
    assert facts.of_checkpoint("h.0.w") == "h.0.w"
