from pathlib import Path

import pytest

from adapters.engines.lorax import RULES
from container.gateway.main import main
from container.gateway.schemas.lorax import MAX_BEST_OF, MAX_STOP_SEQUENCES
from container.gateway.settings import ADAPTER_CACHE_DIR, Settings, SettingsError, read_settings
from container.lorax.command import SHARD, lorax_command, lorax_environment, lorax_launch
from container.lorax.inherited import ALLOWED, REFUSED, UNUSED_SECRETS

#: Of `struct Args` in launcher/src/main.rs of v0.12.1.
LAUNCHER_OPTIONS = """
MODEL_ID ADAPTER_ID SOURCE DEFAULT_ADAPTER_SOURCE ADAPTER_SOURCE REVISION VALIDATION_WORKERS SHARDED
NUM_SHARD QUANTIZE COMPILE COMPILE_MAX_BATCH_SIZE COMPILE_MAX_RANK SPECULATIVE_TOKENS
SPECULATION_MAX_BATCH_SIZE PRELOADED_ADAPTER_IDS PRELOADED_ADAPTER_SOURCE PREDIBASE_API_TOKEN DTYPE
TRUST_REMOTE_CODE MAX_CONCURRENT_REQUESTS MAX_BEST_OF MAX_STOP_SEQUENCES MAX_INPUT_LENGTH
MAX_TOTAL_TOKENS WAITING_SERVED_RATIO MAX_BATCH_PREFILL_TOKENS MAX_BATCH_TOTAL_TOKENS
MAX_WAITING_TOKENS EAGER_PREFILL CHUNKED_PREFILL PREFIX_CACHING MERGE_ADAPTER_WEIGHTS
MAX_ACTIVE_ADAPTERS ADAPTER_CYCLE_TIME_S ADAPTER_MEMORY_FRACTION HOSTNAME PORT SHARD_UDS_PATH
MASTER_ADDR MASTER_PORT HUGGINGFACE_HUB_CACHE WEIGHTS_CACHE_OVERRIDE DISABLE_CUSTOM_KERNELS
CUDA_MEMORY_FRACTION JSON_OUTPUT OTLP_ENDPOINT CORS_ALLOW_ORIGIN CORS_ALLOW_HEADER
CORS_EXPOSE_HEADER CORS_ALLOW_METHOD CORS_ALLOW_CREDENTIALS WATERMARK_GAMMA WATERMARK_DELTA NGROK
NGROK_AUTHTOKEN NGROK_EDGE DOWNLOAD_ONLY TOKENIZER_CONFIG_PATH BACKEND EMBEDDING_DIM DISABLE_SGMV
"""


def settings(**environment: str) -> Settings:
    return read_settings({"HF_MODEL_ID": "org/mistral", "ADAPTER_BUCKET": "bucket"} | environment)


def test_the_launcher_gets_flags_and_never_sagemakers_serve() -> None:
    assert lorax_command(settings(ENGINE_PORT="9000"), {}) == (
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


def test_what_the_image_says_of_sources_does_not_count() -> None:
    inherited = {
        "SOURCE": "s3",
        "ADAPTER_SOURCE": "hub",
        "DEFAULT_ADAPTER_SOURCE": "pbase",
        "MODEL_ID": "gpt2",
    }
    environment = lorax_environment(settings(), inherited)
    assert (environment["SOURCE"], environment["MODEL_ID"]) == ("hub", "org/mistral")
    # The launcher prefers the second for what requests do not say.
    assert environment["ADAPTER_SOURCE"] == environment["DEFAULT_ADAPTER_SOURCE"] == "s3"


def test_the_limits_are_the_gateways_own() -> None:
    environment = lorax_environment(
        settings(
            MAX_INPUT_LENGTH="10",
            MAX_TOTAL_TOKENS="20",
            MAX_ACTIVE_ADAPTERS="30",
            ADAPTER_MEMORY_FRACTION="0.25",
        ),
        {"MAX_BEST_OF": "1", "MAX_STOP_SEQUENCES": "1"},
    )
    found = tuple(
        environment[name]
        for name in ("MAX_INPUT_LENGTH", "MAX_TOTAL_TOKENS", "MAX_ACTIVE_ADAPTERS", "ADAPTER_MEMORY_FRACTION",
                     "MAX_BEST_OF", "MAX_STOP_SEQUENCES")
    )  # fmt: skip
    assert found == ("10", "20", "30", "0.25", str(MAX_BEST_OF), str(MAX_STOP_SEQUENCES))


def test_the_gateways_own_requests_are_never_one_too_many() -> None:
    environment = lorax_environment(settings(MAX_CONCURRENT_REQUESTS="40", MAX_COLD_LOADS="3"), {})
    # 40 callers, each with best_of 2, 3 adapters being loaded, one look whether LoRAX lives, one probe.
    assert environment["MAX_CONCURRENT_REQUESTS"] == "85"


def test_a_mounted_model_is_served_without_the_hub(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    environment = lorax_environment(settings(SM_MODEL_DIR=str(tmp_path), HF_MODEL_REVISION="abc"), {})
    assert (environment["MODEL_ID"], environment["HF_HUB_OFFLINE"]) == (str(tmp_path), "1")
    assert "REVISION" not in environment


def test_downloads_go_to_adapter_cache_although_image_says_otherwise() -> None:
    inherited = {"HUGGINGFACE_HUB_CACHE": "/data", "HF_HUB_CACHE": "/root/.cache", "PATH": "/bin"}
    environment = lorax_environment(settings(), inherited)
    assert environment["HUGGINGFACE_HUB_CACHE"] == environment["HF_HUB_CACHE"] == ADAPTER_CACHE_DIR
    assert environment["PATH"] == "/bin"
    environment = lorax_environment(settings(ADAPTER_CACHE_DIR="/mnt/cache"), inherited)
    assert environment["HUGGINGFACE_HUB_CACHE"] == environment["HF_HUB_CACHE"] == "/mnt/cache"


def test_the_launcher_and_the_router_both_find_a_hub_token() -> None:
    environment = lorax_environment(settings(), {"HF_TOKEN": "token"})
    assert (environment["HF_TOKEN"], environment["HUGGING_FACE_HUB_TOKEN"]) == ("token", "token")
    assert "HUGGING_FACE_HUB_TOKEN" not in lorax_environment(settings(), {})


def test_loraxs_python_finds_our_change_first_and_then_what_image_had() -> None:
    assert (SHARD / "sitecustomize.py").is_file()
    for inherited in ({}, {"PYTHONPATH": ""}):
        assert lorax_environment(settings(), inherited)["PYTHONPATH"] == str(SHARD)
    environment = lorax_environment(settings(), {"PYTHONPATH": "/usr/src:/opt/more"})
    assert environment["PYTHONPATH"] == f"{SHARD}:/usr/src:/opt/more"


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
        ("HF_MODEL_QUANTIZE", {"HF_MODEL_QUANTIZE": ""}),
        ("MAX_ADAPTER_RANK", {"MAX_ADAPTER_RANK": "129"}),
    ],
)
def test_what_lorax_can_not_do_is_refused_before_it_starts(
    variable: str, environment: dict[str, str]
) -> None:
    with pytest.raises(SettingsError, match=f"^{variable} is "):
        lorax_environment(settings(**environment), {})


@pytest.mark.parametrize("variable", sorted(REFUSED))
@pytest.mark.parametrize("value", ["", "true", "false", "1"])
def test_what_would_abort_leak_or_take_adapters_away_is_refused(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"^{variable} is '{value}': (leave it out: |give HF_MODEL_)"):
        lorax_environment(settings(), {variable: value})


@pytest.mark.parametrize("variable", sorted(ALLOWED.keys() - {"DEBUG"}))
@pytest.mark.parametrize("value", ["", "\n"])
def test_no_option_of_the_launcher_may_be_empty(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"^{variable} is "):
        lorax_environment(settings(), {variable: value})


@pytest.mark.parametrize("variable", ["COMPILE", "EAGER", "EAGER_PREFILL", "DISABLE_CUSTOM_KERNELS"])
@pytest.mark.parametrize("value", ["1", "0", "True", "yes", "true "])
def test_the_launchers_switches_take_two_words_only(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"^{variable} is '{value}': write true or false$"):
        lorax_environment(settings(), {variable: value})


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("MERGE_ADAPTER_WEIGHTS", "true"),
        ("DOWNLOAD_ONLY", "true"),
        ("NGROK", "true"),
        ("DEBUG", "1"),
        ("BACKEND", "FA2"),
        ("VALIDATION_WORKERS", "0"),
        ("MAX_WAITING_TOKENS", "20.5"),
        ("MAX_WAITING_TOKENS", "-1"),
        ("MAX_WAITING_TOKENS", "1_000"),
        ("MAX_BATCH_PREFILL_TOKENS", "4294967296"),
        ("WAITING_SERVED_RATIO", "1,2"),
        ("CUDA_MEMORY_FRACTION", "0"),
        ("CUDA_MEMORY_FRACTION", "1.1"),
        # The longest prompt is 1024 tokens and a request 4096: each has to fit into a batch.
        ("MAX_BATCH_PREFILL_TOKENS", "1023"),
        ("MAX_BATCH_TOTAL_TOKENS", "4095"),
    ],
)
def test_a_value_with_which_lorax_would_not_serve_is_refused(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"^{variable} is '{value}': "):
        lorax_environment(settings(), {variable: value})


def test_a_batch_must_hold_the_launchers_own_prefill_limit() -> None:
    limits = settings(MAX_INPUT_LENGTH="4090")
    lorax_environment(limits, {"MAX_BATCH_TOTAL_TOKENS": "4140"})
    with pytest.raises(SettingsError, match="^MAX_BATCH_TOTAL_TOKENS is '4139': .* give 4140 or more$"):
        lorax_environment(limits, {"MAX_BATCH_TOTAL_TOKENS": "4139"})
    with pytest.raises(SettingsError, match="give 5000 or more$"):
        lorax_environment(limits, {"MAX_BATCH_TOTAL_TOKENS": "4140", "MAX_BATCH_PREFILL_TOKENS": "5000"})


def test_compile_and_eager_exclude_each_other() -> None:
    for one, other in (("true", "false"), ("false", "true"), ("false", "false")):
        environment = lorax_environment(settings(), {"COMPILE": one, "EAGER": other})
        assert (environment["COMPILE"], environment["EAGER"]) == (one, other)
    with pytest.raises(SettingsError, match="^EAGER is 'true': it is the opposite of COMPILE"):
        lorax_environment(settings(), {"COMPILE": "true", "EAGER": "true"})


def test_who_runs_the_container_may_tune_lorax() -> None:
    tuned = {
        "COMPILE": "true", "COMPILE_MAX_RANK": "16", "EAGER_PREFILL": "false", "BACKEND": "flashinfer",
        "MAX_BATCH_PREFILL_TOKENS": "8192", "MAX_BATCH_TOTAL_TOKENS": "60000", "WAITING_SERVED_RATIO": "1.2",
        "MAX_WAITING_TOKENS": "0", "CUDA_MEMORY_FRACTION": "0.95", "MEMORY_WIGGLE_ROOM": ".9",
        "MERGE_ADAPTER_WEIGHTS": "false", "NGROK": "false", "SPECULATIVE_TOKENS": "3", "DEBUG": "0",
    }  # fmt: skip
    environment = lorax_environment(settings(), tuned)
    assert {name: environment[name] for name in tuned} == tuned


def test_secrets_that_the_launcher_would_log_do_not_reach_it() -> None:
    environment = lorax_environment(
        settings(), {"PREDIBASE_API_TOKEN": "secret", "NGROK_AUTHTOKEN": "secret"}
    )
    assert "secret" not in environment.values()


def test_all_that_lorax_0_12_1_reads_is_decided_upon() -> None:
    """Each option of its launcher is set, checked or refused, or one of these."""
    on_the_command_line = {"HOSTNAME", "PORT", "JSON_OUTPUT"}
    set_if_given = {"DTYPE"}
    decided = (
        lorax_environment(settings(), {}).keys() | REFUSED.keys() | ALLOWED.keys() | set(UNUSED_SECRETS)
        | on_the_command_line | set_if_given
    )  # fmt: skip
    assert set(LAUNCHER_OPTIONS.split()) - decided == set()


def test_container_ends_with_one_line_before_lorax_is_started(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name, value in {
        "HF_MODEL_ID": "org/mistral",
        "ADAPTER_BUCKET": "bucket",
        "ADAPTER_ID": "a/b",
    }.items():
        monkeypatch.setenv(name, value)
    assert main(["serve"], lorax_launch) == 2
    output = capfd.readouterr()
    assert output.out == ""
    assert output.err.splitlines() == [
        "ADAPTER_ID is 'a/b': leave it out: requests for the base model would be answered with this adapter"
    ]


@pytest.mark.parametrize("name", sorted(RULES.quantizations))
def test_a_typo_of_a_quantization_is_answered_with_one_that_lorax_knows(name: str) -> None:
    for at in range(len(name)):
        typo = name[:at] + name[at + 1 :]
        if typo in RULES.quantizations:
            continue
        with pytest.raises(
            SettingsError, match="give one that LoRAX knows: awq, .*, did you mean '"
        ) as caught:
            lorax_environment(settings(HF_MODEL_QUANTIZE=typo), {})
        assert caught.value.remedy.rpartition("'")[0].rpartition("'")[2] in RULES.quantizations
