import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from stacks.config.derived import has_mounted_model
from stacks.config.loading import load_stage, load_stages
from stacks.project import ROOT
from stacks.typed_yaml import ConfigError

STAGE = """
base_model:
  revision: 9ab9e76e2b09f9f29ea2d56aa5bd139e4445c59e
adapters: adapters.yaml
"""
MANIFEST = "adapters:\n  - {name: gsm8k, source: 'hf://org/repo@9ab9e76e2b09f9f29ea2d56aa5bd139e4445c59e'}\n"


def write(folder: Path, stage: str = STAGE, manifest: str = MANIFEST) -> Path:
    (folder / "adapters.yaml").write_text(manifest)
    path = folder / "dev.yaml"
    path.write_text(stage)
    return path


def test_the_defaults_are_the_seed_articles(tmp_path: Path) -> None:
    config = load_stage(write(tmp_path)).config
    assert config.base_model.name == "mistralai/Mistral-7B-Instruct-v0.1"
    assert config.endpoint.instance_type == "ml.g5.xlarge"
    assert (config.engine.max_input_tokens, config.engine.max_total_tokens) == (1024, 4096)
    assert config.endpoint.startup_health_check_seconds == 800


def test_the_committed_stages_are_valid() -> None:
    assert [stage.name for stage in load_stages(ROOT / "stages")] == ["dev", "local", "prod", "staging"]


@pytest.mark.parametrize(
    ("addition", "message"),
    [
        ("regoin: us-east-1\n", r"dev.yaml: regoin: unknown key, did you mean 'region'; valid: account, region"),
        ("engine: {max_inptu_tokens: 5}\n", r"engine.max_inptu_tokens: unknown key, did you mean 'max_input_tokens'"),
        ("engine: {max_input_tokens: many}\n", r"engine.max_input_tokens: 'many': write a whole number, 1 or more"),
        ("engine: {max_input_tokens: 5000}\n", r"engine: max_input_tokens must be below max_total_tokens"),
        ("engine: {quantize: awq, dtype: float16}\n", r"engine: quantize and dtype exclude each other"),
        ("engine: {name: tgi}\n", r"engine.name: 'tgi': write lorax or vllm"),
        ("endpoint: {startup_health_check_seconds: 30}\n", r"startup_health_check_seconds: 30: write a whole number from 60 to 3600"),
        ("endpoint: {instance_type: g5.xlarge}\n", r"endpoint.instance_type: 'g5.xlarge': no type with an NVIDIA GPU is known by this name, did you mean 'ml.g5.xlarge'"),
        ("account: 123\n", r"account: 123: write the account's 12 digits in quotes$"),
        ("account: 012345670123\n", r"dev.yaml: line 5: account: YAML reads 012345670123 as 1402433619; write '012345670123' if"),
        ("retention_days: 030\n", r"line 5: retention_days: YAML reads 030 as 24; .* or the number in base 10$"),
        ("tags: {until: 2026-12-01}\n", r"tags.until: 2026-12-01: write it in quotes: '2026-12-01'$"),
        ("tags: {on: x}\n", r"line 5: YAML does not read the key on as a text; write 'on'$"),
        ("retention_days: 1e3\n", r"retention_days: '1e3': write 1000$"),
        ("retention_days: '30'\n", r"retention_days: '30': write it without quotes$"),
        ("region:\n", r"region: no value: no region with .*, or leave the key out$"),
        ("retention_days: 0x0\n", r"retention_days: 0x0: write a whole number from 1 to 3650$"),
        ("autoscaling: {min_instances: 3}\n", r"autoscaling: min_instances, which is 3, must be at most max_instances, which is 2 by default"),
        ("gateway: {warm_up_seconds: 40}\nendpoint: {startup_health_check_seconds: 60}\n", r"gateway.warm_up_seconds: 40 s may outlast endpoint.startup_health_check_seconds, 60, .*: write 30 or less, or raise that$"),
        ("gateway: {warm_up_second: 40}\n", r"gateway.warm_up_second: unknown key, did you mean 'warm_up_seconds'"),
        ("gateway: {probes_share: 0}\n", r"gateway.probes_share: unknown key, did you mean 'probe_share'"),
        ("engine: {name: vllm, max_cpu_adapter: 99}\n", r"engine.max_cpu_adapter: unknown key, did you mean 'max_cpu_adapters'"),
        ("engine: {name: vllm, max_cpu_adapters: 8}\n", r"max_cpu_adapters, which is 8, must be at least max_active_adapters, which is 64 by default: adapters in slots"),
        ("engine: {name: vllm, max_active_adapters: 8, max_adapter_rank: 16, max_cpu_adapters: 500}\n", r"engine.max_cpu_adapters: 500 adapters of rank 16 take 39.1 GiB, .* leave 9.0 of the 16 GiB of ml.g5.xlarge: leave it out for 56, or take a larger type$"),
        ("retain_data: 'no'\n", r"retain_data: 'no': write it without quotes$"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_in_one_line_with_file_key_value_and_what_would_be_right(
    tmp_path: Path, addition: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load_stage(write(tmp_path, STAGE + addition))
    assert "\n" not in str(caught.value)


def test_a_base_model_needs_exactly_one_source(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="either revision"):
        load_stage(write(tmp_path, "base_model: {name: a}\nadapters: adapters.yaml\n"))
    with pytest.raises(ConfigError, match=r"base_model.path: 'nowhere' has no config.json"):
        load_stage(write(tmp_path, "base_model: {path: nowhere}\nadapters: adapters.yaml\n"))


@pytest.mark.parametrize(
    ("adapter", "message"),
    [
        (
            "{name: Bad, source: x/}",
            r"adapters\['Bad'\].name: 'Bad': not a valid adapter name; use lower-case",
        ),
        (
            "{name: a, source: nowhere}",
            r"adapter 'a': source: 'nowhere': there is no such directory; check the path",
        ),
        ("{name: a, source: 's3://bucket/a'}", r"the prefix does not end with '/'; write s3://bucket/a/"),
        ("{name: a, source: 'ftp://x'}", r"it is not a source; write hf://org/repo@commit"),
        ("{name: a, source: 'hf://org/repo@main'}", r"'main' is not a commit; pin the 40-digit commit"),
        ("{name: a}", r"adapters\['a'\].source: missing; write it: `hf://org/repo"),
        (
            "{name: a, source: x, source: y}",
            r"adapters.yaml: line 2: 'source' is there twice; keep one of them$",
        ),
        (
            "{name: a, source: x}\nadapters: []",
            r"line 3: 'adapters' is there twice, first in line 1; keep one of them$",
        ),
        (
            f"{{name: a, source: x, sha256: {'1' * 64}}}",
            rf"sha256: {'1' * 64}: write it in quotes: '1{{64}}'$",
        ),
        (
            "{name: a, source: x, labels: {version: 1.10}}",
            r"labels.version: 1.10: write it in quotes: '1.10'$",
        ),
        ("{name: a, source: x, copies: 0}", r"copies: 0: write a whole number from 1 to 9999"),
        (
            "{name: a, source: x, labels: {pinned: 'yes'}}",
            r"adapters\['a'\].labels: keys with values: label pinned: 'yes': write true or false$",
        ),
        (
            "{name: a, source: x, labels: {tenant: Acme Corp}}",
            r"label tenant: 'Acme Corp': write a name like an adapter's: use lower-case letters",
        ),
        (
            "{name: a, source: x, limits: {priority: 101}}",
            r"limits.priority: 101: write a whole number from 1 to 100",
        ),
        (
            "{name: a, source: x, limits: {max_concurent: 4}}",
            r"max_concurent: unknown key, did you mean 'max_concurrent'",
        ),
        (
            "{name: a, source: x, labels: {tenant: acme}}\ntenants: {acne: {priority: 2}}",
            r"tenants.acne: no adapter has the label tenant: acne, did you mean 'acme': correct it, or take it out$",
        ),
        (
            "{name: a, source: 's3://bucket/a/', copies: 33, labels: {pinned: true}}",
            r"labels: 33 of the adapters are pinned, more than half of engine.max_active_adapters, 64: raise that "
            "to 66 or more, or pin fewer$",
        ),
        ("{name: a, source: x, lables: {}}", r"adapters\['a'\].lables: unknown key, did you mean 'labels'"),
    ],
)
def test_a_manifest_that_cannot_be_used_is_told_as_plainly(
    tmp_path: Path, adapter: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load_stage(write(tmp_path, manifest=f"adapters:\n  - {adapter}\n"))
    assert "adapters.yaml" in str(caught.value)


def test_limits_and_labels_with_an_effect_are_packed_for_each_adapter(tmp_path: Path) -> None:
    manifest = load_stage(
        write(
            tmp_path,
            manifest="""adapters:
  - {name: a, source: 's3://bucket/a/', labels: {tenant: acme, pinned: true}, limits: {max_concurrent: 4}}
  - {name: b, source: 's3://bucket/b/', labels: {tenant: other}}
tenants:
  acme: {tokens_per_minute: 60000, priority: 2}
""",
        )
    ).manifest
    one, other = manifest.pack(tmp_path, tmp_path)
    assert one["labels"] == {"tenant": "acme", "pinned": "true"}
    assert one["limits"] == {"max_concurrent": 4}
    assert one["tenant_limits"] == {"tokens_per_minute": 60000, "priority": 2}
    assert (other["limits"], other["tenant_limits"]) == ({}, {})


@pytest.mark.parametrize(
    ("removals", "share"),
    [("", 0.2), ("removals: allow", 1.0), ("removals: 0", 0.0), ("removals: 0.99", 0.99)],
)
def test_a_manifest_says_what_a_deploy_may_remove(tmp_path: Path, removals: str, share: float) -> None:
    manifest = load_stage(write(tmp_path, manifest=f"{MANIFEST}{removals}\n")).manifest
    assert manifest.removable_share == share


@pytest.mark.parametrize("removals", ["1", "-0.1", "yes", "20%", "Allow", "[allow]", "5", ".nan"])
def test_a_share_that_could_be_a_number_of_adapters_is_refused(tmp_path: Path, removals: str) -> None:
    shown = re.escape({"20%": "'20%'", "Allow": "'Allow'", "[allow]": "a list"}.get(removals, removals))
    remedy = "write allow, or a share of the published adapters, from 0 to below 1, such as 0.2"
    with pytest.raises(ConfigError, match=rf"adapters.yaml: removals: {shown}: {remedy}$"):
        load_stage(write(tmp_path, manifest=f"{MANIFEST}removals: {removals}\n"))


def test_two_adapters_of_one_name_are_refused_even_if_one_is_a_copy(tmp_path: Path) -> None:
    source = "'s3://bucket/prefix/'"
    manifest = (
        f"adapters:\n  - {{name: a, source: {source}, copies: 2}}\n  - {{name: a-0002, source: {source}}}\n"
    )
    with pytest.raises(ConfigError, match="adapter 'a-0002' is listed twice"):
        load_stage(write(tmp_path, manifest=manifest))


def test_a_branch_may_stand_for_a_commit_only_where_stage_allows_it(tmp_path: Path) -> None:
    manifest = "adapters:\n  - {name: a, source: 'hf://org/repo@main'}\n"
    load_stage(write(tmp_path, STAGE + "allow_unpinned_sources: true\n", manifest))
    for stage in load_stages(ROOT / "stages"):
        assert not stage.config.allow_unpinned_sources or stage.name == "dev"


def test_the_endpoints_of_the_stages_here_need_neither_hub_nor_token() -> None:
    for stage in load_stages(ROOT / "stages"):
        assert has_mounted_model(stage.config), stage.name


def test_an_unknown_stage_is_told_with_the_closest_one() -> None:
    with pytest.raises(ConfigError, match="stage 'prdo' is unknown, did you mean 'prod'; stages: dev, local"):
        load_stages(ROOT / "stages", "prdo")


def test_a_missing_manifest_and_a_file_that_is_not_yaml_are_told(tmp_path: Path) -> None:
    path = write(tmp_path, STAGE.replace("adapters.yaml", "other.yaml"))
    with pytest.raises(ConfigError, match=r"adapters: 'other.yaml' is not a file"):
        load_stage(path)
    path.write_text("a: [")
    with pytest.raises(ConfigError, match=r"dev.yaml: line 1: not YAML: .*check the indentation"):
        load_stage(path)
    path.write_text("just words")
    with pytest.raises(ConfigError, match="dev.yaml: it has no keys; write keys such as account"):
        load_stage(path)


def test_reading_a_stage_file_does_not_start_the_cdk() -> None:
    """Every command reads one; aws_cdk takes a second to import."""
    script = "import sys, stacks.config.stage_config; sys.exit('aws_cdk' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False).returncode == 0


def test_an_image_for_the_laptop_replaces_that_of_the_local_stage_alone() -> None:
    plain = {stage.name: stage.config for stage in load_stages(ROOT / "stages")}
    replaced = {stage.name: stage.config for stage in load_stages(ROOT / "stages", local_image="asset")}
    assert (plain["local"].image, replaced["local"].image) == ("localhost/vllm:laptop", "asset")
    assert replaced["local"].model_copy(update={"image": plain["local"].image}) == plain["local"]
    assert {**replaced, "local": None} == {**plain, "local": None}


def test_an_image_for_the_laptop_is_checked_like_that_of_the_file() -> None:
    with pytest.raises(
        ConfigError, match="image: '.*': SageMaker pulls from a private repository of ECR only"
    ):
        load_stages(ROOT / "stages", "local", local_image="docker.io/vllm/vllm-openai:v0.32.0")


LOCKED = {
    "name": "gsm8k",
    "digest": "0123456789abcdef" * 4,
    "source": "s3://giving/adapters/gsm8k/0123456789abcdef/",
}


@pytest.mark.parametrize(
    "changes",
    [
        {"digest": None},
        {"source": "hf://org/repo@9ab9e76e2b09f9f29ea2d56aa5bd139e4445c59e"},
        {"source": "s3://giving/adapters/gsm8k/"},
        {"source": "s3://giving/adapters/other/0123456789abcdef/"},
        {"source": "s3://giving/adapters/gsm8k/fedcba9876543210/"},
        {"source": "s3://giving/models/gsm8k/0123456789abcdef/"},
        {"copies": 2},
    ],
)
def test_a_locked_stage_takes_revisions_of_a_store_by_their_digest_and_nothing_else(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    stage = STAGE + "promote_from: qa\nadapters_locked: true\n"
    load_stage(write(tmp_path, stage, json.dumps({"adapters": [LOCKED]})))
    entry = {key: value for key, value in (LOCKED | changes).items() if value is not None}
    manifest = json.dumps({"adapters": [entry]})
    load_stage(write(tmp_path, STAGE, manifest))
    with pytest.raises(ConfigError, match=r"adapter 'gsm8k': .*adapters lock --from qa"):
        load_stage(write(tmp_path, stage, manifest))


def test_a_locked_stage_names_the_stage_that_it_takes_from(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="name it with promote_from"):
        load_stage(write(tmp_path, STAGE + "adapters_locked: true\n"))


@pytest.mark.parametrize("reader", ["'12345'", "arn:aws:iam::111122223333:user/ana", "'*'"])
def test_a_reader_is_an_account_or_a_role(tmp_path: Path, reader: str) -> None:
    with pytest.raises(ConfigError, match="write an account's 12 digits in quotes, or the ARN of a role"):
        load_stage(write(tmp_path, STAGE + f"store_readers: [{reader}]\n"))


def test_a_reader_of_another_partition_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="another partition"):
        load_stage(write(tmp_path, STAGE + "store_readers: ['arn:aws-cn:iam::111122223333:role/Deploy']\n"))
