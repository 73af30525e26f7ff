from pathlib import Path

import pytest

from container.gateway.settings import SettingsError, read_settings

REQUIRED = {"HF_MODEL_ID": "mistral", "ADAPTER_BUCKET": "bucket"}


def test_two_variables_are_enough_and_the_rest_has_documented_defaults() -> None:
    settings = read_settings(REQUIRED)
    assert (settings.max_input_tokens, settings.max_total_tokens) == (1024, 4096)
    assert (settings.max_adapter_rank, settings.max_active_adapters) == (64, 64)
    assert (settings.default_new_tokens, settings.max_new_tokens) == (256, 1024)
    assert settings.max_concurrent_requests == 128
    assert settings.adapter_memory_fraction == 0.1
    assert (settings.port, settings.engine_port) == (8080, 8081)
    assert settings.trust_remote_code == "false"


@pytest.mark.parametrize("missing", sorted(REQUIRED))
def test_a_missing_variable_is_named(missing: str) -> None:
    environment = {name: value for name, value in REQUIRED.items() if name != missing}
    with pytest.raises(SettingsError, match=f"^{missing} is not set: give the name"):
        read_settings(environment)


@pytest.mark.parametrize(
    ("variable", "value", "remedy"),
    [
        ("MAX_INPUT_LENGTH", "many", "a whole number of tokens, 1 or more"),
        ("MAX_TOTAL_TOKENS", "0", "a whole number of tokens, 1 or more"),
        ("MAX_ADAPTER_RANK", "513", "a whole number from 1 to 512"),
        ("SM_NUM_GPUS", "", "a whole number, 1 or more"),
        ("HF_MODEL_TRUST_REMOTE_CODE", "1", "write true or false"),
        ("ADAPTER_MEMORY_FRACTION", "1.0", "between 0 and 1"),
        ("ADAPTER_TARGET_MODULES", "q_proj, v_proj", "as in q_proj,v_proj"),
        ("ADAPTER_TARGET_MODULES", "model.q_proj", "as in q_proj,v_proj"),
        ("ADAPTER_MEMORY_FRACTION", "0", "between 0 and 1"),
        ("MAX_COLD_LOADS", "65", "from 1 to 64"),
        ("MAX_ACTIVE_ADAPTERS", "1025", "from 1 to 1024"),
        ("SM_NUM_GPUS", "9", "at most 8"),
        ("DTYPE", "fp16", "float16, bfloat16 or float32"),
        ("SAGEMAKER_BIND_TO_PORT", "70000", "a port from 1 to 65535"),
    ],
)
def test_a_wrong_value_is_one_line_with_variable_value_and_remedy(
    variable: str, value: str, remedy: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings(REQUIRED | {variable: value})
    message = str(caught.value)
    assert message.startswith(f"{variable} is {value!r}: ")
    assert remedy in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("variable", "environment"),
    [
        ("MAX_INPUT_LENGTH", {"MAX_INPUT_LENGTH": "4096"}),
        ("DEFAULT_MAX_NEW_TOKENS", {"DEFAULT_MAX_NEW_TOKENS": "512", "MAX_NEW_TOKENS": "500"}),
        ("ENGINE_PORT", {"ENGINE_PORT": "8080"}),
    ],
)
def test_values_that_contradict_each_other_are_refused(variable: str, environment: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match=f"^{variable} is "):
        read_settings(REQUIRED | environment)


def test_a_mounted_model_is_one_with_a_config(tmp_path: Path) -> None:
    environment = REQUIRED | {"SM_MODEL_DIR": str(tmp_path)}
    assert read_settings(environment).mounted_model is None
    (tmp_path / "config.json").write_text("{}")
    assert read_settings(environment).mounted_model == tmp_path
