"""The launcher's flags: each is decided on, by the rules of the variable of the same name."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from container.gateway.settings import Settings, SettingsError, read_settings
from container.lorax.command import lorax_command, lorax_environment
from container.lorax.flags import FLAGS
from container.lorax.inherited import ALLOWED, REFUSED
from tests.unit.container.lorax.test_command import LAUNCHER_OPTIONS


def settings(arguments: dict[str, Any], **more: str) -> Settings:
    required = {"HF_MODEL_ID": "org/mistral", "ADAPTER_BUCKET": "bucket"}
    return read_settings(required | {"ENGINE_ARGUMENTS": json.dumps(arguments)} | more)


def passed_on(arguments: dict[str, Any], **inherited: str) -> list[str]:
    return list(lorax_command(settings(arguments), inherited)[6:])


def test_the_table_has_each_option_of_the_launcher_and_no_other() -> None:
    # `--env` alone has no variable.
    names = {name.lower().replace("_", "-") for name in LAUNCHER_OPTIONS.split()} | {"env"}
    assert set(FLAGS.flags) == names


@pytest.mark.parametrize("name", FLAGS.flags)
def test_a_flag_has_the_rule_of_its_variable(name: str) -> None:
    variable, refusal = name.upper().replace("-", "_"), FLAGS.flags[name].refusal
    assert (refusal is None) <= (variable in ALLOWED)
    if variable in REFUSED:
        assert refusal is not None
    if variable in lorax_environment(settings({}), {}):
        # What the container sets itself.
        assert refusal is not None
        assert refusal.startswith(("set ", "leave it out: the container sets it"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"compile": True}, ["--compile"]),
        ({"compile_max_rank": 16}, ["--compile-max-rank=16"]),
        ({"eager-prefill": False}, ["--eager-prefill=false"]),
        ({"--waiting-served-ratio": 1.2}, ["--waiting-served-ratio=1.2"]),
        ({"backend": "flashinfer", "cuda-memory-fraction": 0.9}, ["--backend=flashinfer", "--cuda-memory-fraction=0.9"]),
    ],
)  # fmt: skip
def test_a_flag_follows_those_of_the_container(arguments: dict[str, Any], words: list[str]) -> None:
    assert passed_on(arguments) == words


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        ({"hostname": "::"}, "leave it out: the container sets it"),
        ({"p": 80}, "leave it out: the container sets it"),
        ({"model-id": "gpt2"}, "set HF_MODEL_ID instead"),
        ({"max-input-length": 9}, "set MAX_INPUT_LENGTH instead"),
        ({"trust-remote-code": True}, "set HF_MODEL_TRUST_REMOTE_CODE instead"),
        ({"quantize": "awq"}, "give HF_MODEL_QUANTIZE instead"),
        ({"adapter-id": "a"}, "requests for the base model would be answered with this adapter"),
        ({"preloaded-adapter-ids": ["a"]}, "LoRAX would load no other adapters"),
        ({"merge-adapter-weights": True}, "LoRAX would load no other adapters"),
        ({"otlp-endpoint": "http://a"}, "LoRAX would send prompts there"),
        ({"cors-allow-origin": ["*"]}, "only the gateway reaches LoRAX"),
        ({"ngrok": True}, "it is to open LoRAX to the internet"),
        ({"master-addr": "::"}, "the GPUs of a model find each other on this instance"),
        ({"env": True}, "LoRAX would log secrets"),
        ({"e": True}, "LoRAX would log secrets"),
        ({"download-only": True}, "LoRAX would end once the model is downloaded"),
        ({"backend": "fa3"}, "write fa2 or flashinfer"),
        ({"cuda-memory-fraction": 1.5}, "give a share above 0 and up to 1"),
        ({"max-batch-prefill-tokens": 1023}, "it must not be below MAX_INPUT_LENGTH, which is 1024"),
        ({"max-batch-total-tokens": 4095}, "one prompt and one request must fit: give 4096 or more"),
        ({"max-batch-prefil-tokens": 1}, "LoRAX 0.12.1 has no flag of this name, did you mean 'max-batch-prefill-tokens'"),
        # Names of variables that are no flags of the launcher, which would not start with them.
        ({"memory-wiggle-room": 0.9}, "has no flag of this name"),
        ({"eager": True}, "has no flag of this name"),
    ],
)  # fmt: skip
def test_a_flag_that_lorax_cannot_serve_with_is_refused(arguments: dict[str, Any], remedy: str) -> None:
    for start in (lorax_command, lorax_environment):
        with pytest.raises(SettingsError, match=remedy) as caught:
            start(settings(arguments), {})
        assert (caught.value.variable, caught.value.value) == ("ENGINE_ARGUMENTS", next(iter(arguments)))


def test_a_flag_comes_before_the_variable_of_the_image() -> None:
    assert passed_on({"compile": True}, COMPILE="false") == ["--compile"]
    with pytest.raises(SettingsError, match="^EAGER is 'true': it is the opposite of COMPILE"):
        passed_on({"compile": True}, EAGER="true")


TYPOS = st.sampled_from(FLAGS.allowed).flatmap(
    lambda name: st.integers(0, len(name) - 1).map(lambda at: name[:at] + name[at + 1 :])
)


@given(TYPOS)
def test_a_typo_is_answered_with_a_flag_that_is_there(typo: str) -> None:
    with pytest.raises(SettingsError) as caught:
        passed_on({typo: True})
    assert "did you mean '" in caught.value.remedy
    assert caught.value.remedy.rpartition("did you mean '")[2].rstrip("'") in FLAGS.flags
