"""vLLM's flags: ours against the parser of the installed vLLM."""

import argparse
import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.engines.vllm import RULES
from container.gateway.engine_arguments import Flag, command_line
from container.gateway.main import main
from container.gateway.settings import Settings, SettingsError, read_settings
from container.vllm import flag_table
from container.vllm.command import vllm_launch
from container.vllm.flags import _GROUPS, _OTHER_GROUPS, FLAGS
from container.vllm.options import OPTIONS, vllm_arguments
from container.vllm.settings_check import check_settings
from container.vllm.write_flag_table import text, vllm_parser

#: A value of each form.
SAMPLES: dict[str, Any] = {
    "switch": True, "toggle": False, "integer": 1, "number": 0.5, "text": "a", "json": {"mode": 0},
    "integers": [1, 2], "texts": ["a"],
}  # fmt: skip


def read(**environment: str) -> Settings:
    return read_settings({"HF_MODEL_ID": "org/mistral", "ADAPTER_BUCKET": "bucket"} | environment)


@pytest.fixture(scope="module")
def parser() -> argparse.ArgumentParser:
    pytest.importorskip("vllm", reason="vLLM is not installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VLLM_PLUGINS", "none")
        return vllm_parser()


def sample(flag: Flag) -> Any:
    if flag.choices:
        return [flag.choices[0]] if flag.form.endswith("s") else flag.choices[0]
    return SAMPLES[flag.form]


def parsed(parser: argparse.ArgumentParser, words: tuple[str, ...]) -> dict[str, Any]:
    return vars(parser.parse_args(list(words)))


def test_the_table_is_of_the_installed_vllm(parser: argparse.ArgumentParser) -> None:
    assert RULES.version == flag_table.VERSION
    written = Path(flag_table.__file__).read_text()
    assert written == text(), "run: VLLM_PLUGINS=none .venv/bin/python -m container.vllm.write_flag_table"


def test_each_group_of_options_has_a_remedy_or_is_allowed() -> None:
    groups = {row.split(" | ")[2] for row in flag_table.ROWS.splitlines()}
    assert groups >= _GROUPS | _OTHER_GROUPS.keys()


def test_what_the_container_sets_is_vllms_and_refused() -> None:
    for name, option in OPTIONS.items():
        assert FLAGS.flags[name].refusal is not None, name
        if option.variable is not None:
            with pytest.raises(SettingsError, match=f"set {option.variable} instead"):
                FLAGS.find(name)


def test_every_flag_of_the_command_line_is_an_option(parser: argparse.ArgumentParser, tmp_path: Path) -> None:
    everything = read(
        HF_MODEL_REVISION="abc", HF_MODEL_QUANTIZE="awq", DTYPE="float16", HF_MODEL_TRUST_REMOTE_CODE="true",
        ADAPTER_TARGET_MODULES="q_proj,v_proj", TOOL_CALL_PARSER="hermes",
    )  # fmt: skip
    words = vllm_arguments(everything, on_cpu=False)[2:]
    # The worker's class depends on the build of vLLM, not on a setting.
    assert {word[2:] for word in words if word.startswith("--")} == OPTIONS.keys() | {"worker-cls"}
    found = parsed(parser, words)
    assert (found["host"], found["max_num_seqs"], found["quantization"]) == ("127.0.0.1", 132, "awq")
    assert found["lora_target_modules"] == ["q_proj", "v_proj"]


@pytest.mark.parametrize("name", FLAGS.allowed)
def test_vllm_takes_each_flag_that_may_be_passed_on(parser: argparse.ArgumentParser, name: str) -> None:
    """And it changes nothing else than its own setting."""
    flag = FLAGS.flags[name]
    if flag.form == "json" and name == "attention-config":
        value: Any = {"backend": "FLASH_ATTN"}
    elif name == "kernel-config":
        value = {"moe_backend": "triton"}
    elif name == "ir-op-priority":
        value = {"rms_norm": ["native"]}
    else:
        value = sample(flag)
    before, after = parsed(parser, ()), parsed(parser, command_line({name: value}, FLAGS))
    changed = {key for key in after if after[key] != before[key]}
    assert changed <= {name.replace("-", "_")}
    if not isinstance(value, bool) and name not in {"seed", "optimization-level", "spec-method"}:
        assert changed or str(before[name.replace("-", "_")]) in (str(value), str(sample(flag)))


def test_a_refused_flag_is_refused_as_each_abbreviation_that_vllm_takes(
    parser: argparse.ArgumentParser,
) -> None:
    """argparse takes any unambiguous beginning of a flag, the short names, and a value after `=`."""
    spellings = 0
    for flag in FLAGS.flags.values():
        if flag.refusal is None:
            continue
        for end in {1, len(flag.name) // 2, len(flag.name) - 1, len(flag.name)}:
            for prefix in ("", "no-"):
                spelled = f"{prefix}{flag.name[:end]}"
                known = FLAGS.flags.get(spelled)
                if known is not None and known.refusal is None:
                    continue  # another flag that may be passed on
                for form in (spelled, f"--{spelled.replace('-', '_')}=1"):
                    spellings += 1
                    with pytest.raises(SettingsError):
                        command_line({form: SAMPLES[flag.form]}, FLAGS)
    for short in FLAGS.aliases:
        if FLAGS.flags[FLAGS.aliases[short]].refusal is not None:
            with pytest.raises(SettingsError):
                command_line({short: 1}, FLAGS)
    assert spellings > 1_000


NAMES = st.sampled_from(sorted(FLAGS.flags)) | st.sampled_from(sorted(FLAGS.aliases)) | st.text(max_size=20)
VALUES = (
    st.none() | st.booleans() | st.integers(-3, 9000) | st.floats(-2, 2) | st.text(max_size=8)
    | st.sampled_from(["--host", "--config", "--host=0.0.0.0", "-O3", "auto", "a.b", "--api-key=x"])
    | st.lists(st.text(max_size=4) | st.integers(0, 9) | st.just("--config"), max_size=3)
    | st.dictionaries(st.text(max_size=4), st.integers(), max_size=2)
)  # fmt: skip


#: Mostly a flag with a value of its form, so that many are passed on.
GIVEN = st.sampled_from(list(FLAGS.flags.values())).flatmap(
    lambda flag: st.tuples(
        st.sampled_from([flag.name, f"--{flag.name}", flag.name.replace("-", "_"), f"no-{flag.name}"]),
        st.just(sample(flag)) | VALUES,
    )
)


@settings(max_examples=400)
@given(st.lists(GIVEN | st.tuples(NAMES, VALUES), min_size=1, max_size=2).map(dict))
def test_whatever_is_passed_on_changes_no_setting_of_the_container(
    parser: argparse.ArgumentParser, arguments: dict[str, Any]
) -> None:
    """Whatever vLLM's parser makes of it: only flags that may be passed on differ from the container's own."""
    try:
        words = command_line(arguments, FLAGS)
    except SettingsError:
        return
    own = vllm_arguments(read(), on_cpu=False)[2:]
    before = parsed(parser, own)
    try:
        after = parsed(parser, (*own, *words))
    except (SystemExit, ValueError):
        return  # a value that vLLM refuses at its start
    allowed = {name.replace("-", "_") for name in FLAGS.allowed}
    assert {key for key in after if after[key] != before[key]} <= allowed


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        ({"host": "127.0.0.2"}, "leave it out: the container sets it"),
        ({"lora-modules": ["a=b"]}, "the container serves the adapters of the store, and no others"),
        ({"allowed-origins": ["*"]}, "the gateway answers callers"),
        ({"api-key": ["a"]}, "the gateway answers callers"),
        ({"middleware": "a.b"}, "the gateway answers callers"),
        ({"config": "a.yaml"}, "vLLM would take further flags from that file, unchecked"),
        ({"enable-log-requests": True}, "prompts and answers would be logged or sent elsewhere"),
        ({"log-level": "DEBUG"}, "prompts and answers would be logged or sent elsewhere"),
        ({"worker-cls": "a.b"}, "vLLM would import code by this name"),
        ({"logits-processors": ["a"]}, "vLLM would import code by this name"),
        ({"load-format": "pt"}, "the base model comes from base_model alone"),
        ({"tokenizer": "gpt2"}, "the base model comes from base_model alone"),
        ({"hf-token": "x"}, "the gateway answers callers"),
        ({"spec-model": "gpt2"}, "it is no setting that tunes vLLM"),
        ({"spec-method": "medusa"}, "'medusa' is none of ngram"),
        ({"prefix-caching-hash-algo": "xxhash"}, "prompts that collide would share their cache"),
        (
            {"compilation-config": {"backend": "a.b"}},
            "the field 'backend' may not be set, only cudagraph_capture_sizes, ",
        ),
        ({"data-parallel-size": 2}, "only the gateway reaches it"),
    ],
)
def test_a_hole_is_refused_with_the_reason(arguments: dict[str, Any], remedy: str) -> None:
    with pytest.raises(SettingsError, match=remedy):
        check_settings(read(ENGINE_ARGUMENTS=json.dumps(arguments)), {})


def test_the_container_ends_with_one_line_before_vllm_is_started(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name, value in {
        "HF_MODEL_ID": "org/mistral",
        "ADAPTER_BUCKET": "bucket",
        "ENGINE_ARGUMENTS": '{"max-num-batched-token":1}',
    }.items():
        monkeypatch.setenv(name, value)
    assert main(["serve"], vllm_launch) == 2
    output = capfd.readouterr()
    assert output.out == ""
    assert output.err.splitlines() == [
        "ENGINE_ARGUMENTS is 'max-num-batched-token': vLLM 0.32.0 has no flag of this name, did you mean "
        "'max-num-batched-tokens'"
    ]


def test_the_flags_of_the_stage_are_the_last_words() -> None:
    command = vllm_launch(read(ENGINE_ARGUMENTS='{"seed":7,"enable-chunked-prefill":false}')).command
    assert command[-2:] == ("--seed=7", "--no-enable-chunked-prefill")


def test_the_fields_of_an_object_are_vllms(parser: argparse.ArgumentParser) -> None:
    """After `parser`, which skips without vLLM and loads none of its plugins."""
    for name, flag in FLAGS.flags.items():
        if flag.fields is not None:
            assert name == "compilation-config"
            assert flag.fields <= {
                field.name for field in fields(pytest.importorskip("vllm.config").CompilationConfig)
            }
