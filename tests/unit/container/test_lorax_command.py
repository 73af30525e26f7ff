from pathlib import Path

import pytest

from container.gateway.settings import Settings, SettingsError, read_settings
from container.lorax.command import lorax_command, lorax_environment


def settings(**environment: str) -> Settings:
    return read_settings({"HF_MODEL_ID": "org/mistral", "ADAPTER_BUCKET": "bucket"} | environment)


def test_the_launcher_gets_flags_and_never_sagemakers_serve() -> None:
    assert lorax_command(settings(ENGINE_PORT="9000")) == (
        "lorax-launcher", "--hostname", "127.0.0.1", "--port", "9000", "--json-output",
    )  # fmt: skip


def test_the_hub_settings_of_sagemaker_become_lorax_options() -> None:
    environment = lorax_environment(
        settings(
            HF_MODEL_REVISION="abc",
            SM_NUM_GPUS="4",
            HF_MODEL_QUANTIZE="awq",
            HF_MODEL_TRUST_REMOTE_CODE="true",
        ),
        {},
    )
    assert environment["MODEL_ID"] == "org/mistral"
    assert environment["REVISION"] == "abc"
    assert environment["NUM_SHARD"] == "4"
    assert environment["QUANTIZE"] == "awq"
    assert environment["TRUST_REMOTE_CODE"] == "true"
    assert "HF_HUB_OFFLINE" not in environment


def test_adapters_come_from_the_bucket_only() -> None:
    environment = lorax_environment(settings(AWS_REGION="eu-west-1"), {})
    assert environment["ADAPTER_SOURCE"] == "s3"
    assert environment["PREDIBASE_MODEL_BUCKET"] == "bucket"
    assert environment["AWS_DEFAULT_REGION"] == "eu-west-1"
    # It would put a prefix before the engine id; preloading would forbid all other adapters.
    assert not {"PREDIBASE_MODEL_FOLDER", "PRELOADED_ADAPTER_IDS", "ADAPTER_ID"} & environment.keys()


def test_the_limits_are_the_gateways_own() -> None:
    environment = lorax_environment(
        settings(
            MAX_INPUT_LENGTH="10",
            MAX_TOTAL_TOKENS="20",
            MAX_ACTIVE_ADAPTERS="30",
            ADAPTER_MEMORY_FRACTION="0.25",
            MAX_CONCURRENT_REQUESTS="40",
        ),
        {},
    )
    found = tuple(
        environment[name]
        for name in ("MAX_INPUT_LENGTH", "MAX_TOTAL_TOKENS", "MAX_ACTIVE_ADAPTERS", "ADAPTER_MEMORY_FRACTION",
                     "MAX_CONCURRENT_REQUESTS")
    )  # fmt: skip
    assert found == ("10", "20", "30", "0.25", "40")


def test_a_mounted_model_is_served_without_the_hub(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    environment = lorax_environment(settings(SM_MODEL_DIR=str(tmp_path), HF_MODEL_REVISION="abc"), {})
    assert (environment["MODEL_ID"], environment["HF_HUB_OFFLINE"]) == (str(tmp_path), "1")
    assert "REVISION" not in environment


def test_downloads_go_to_the_large_disk_although_the_image_says_otherwise() -> None:
    environment = lorax_environment(settings(), {"HUGGINGFACE_HUB_CACHE": "/data", "PATH": "/bin"})
    assert Path(environment["HUGGINGFACE_HUB_CACHE"]).parts[:2] == ("/", "tmp")
    assert environment["PATH"] == "/bin"


def test_the_launcher_and_the_router_both_find_a_hub_token() -> None:
    environment = lorax_environment(settings(), {"HF_TOKEN": "token"})
    assert (environment["HF_TOKEN"], environment["HUGGING_FACE_HUB_TOKEN"]) == ("token", "token")
    assert "HUGGING_FACE_HUB_TOKEN" not in lorax_environment(settings(), {})


def test_no_value_is_empty_and_switches_are_words() -> None:
    environment = lorax_environment(settings(), {})
    assert all(environment.values())
    assert environment["TRUST_REMOTE_CODE"] == "false"
    # Set by environment, these stop LoRAX 0.12.1 from starting or mean their opposite.
    assert not {"PREFIX_CACHING", "CHUNKED_PREFILL", "DISABLE_SGMV", "COMPILE", "EAGER"} & environment.keys()


def test_prompts_stay_out_of_the_routers_log() -> None:
    directives = lorax_environment(settings(), {})["LOG_LEVEL"].split(",")
    assert {"lorax_router::server=off", "lorax_router::infer=off"} <= set(directives)


@pytest.mark.parametrize(
    ("variable", "environment"),
    [
        ("DTYPE", {"DTYPE": "float16", "HF_MODEL_QUANTIZE": "awq"}),
        ("DTYPE", {"DTYPE": "float32"}),
        ("HF_MODEL_QUANTIZE", {"HF_MODEL_QUANTIZE": "exl2"}),
    ],
)
def test_what_lorax_can_not_do_is_refused_before_it_starts(
    variable: str, environment: dict[str, str]
) -> None:
    with pytest.raises(SettingsError, match=f"^{variable} is "):
        lorax_environment(settings(**environment), {})
