"""Each rule of a stage file: a file that keeps it, one that breaks it, and what is said then."""

import re
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from botocore.session import get_session
from pydantic import BaseModel

from stacks.config.checks import warnings
from stacks.config.derived import inference_ami, rollout_plan
from stacks.config.loading import load_stage, load_stages
from stacks.config.sections.endpoint import Endpoint
from stacks.config.sections.observability import Observability
from stacks.config.stage_config import LoadedStage
from stacks.typed_yaml import ConfigError
from tests.policy.matrix import merged

STAGE: dict[str, Any] = {
    "base_model": {"revision": "9ab9e76e2b09f9f29ea2d56aa5bd139e4445c59e"},
    "adapters": "adapters.yaml",
}
KEY = "arn:aws:kms:{}:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
ECR = "444455556666.dkr.ecr.us-east-1.amazonaws.com"
VPC = {
    "vpc_id": "vpc-0123456789abcdef0",
    "subnet_ids": ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"],
}


def load(folder: Path, overlay: dict[str, Any]) -> LoadedStage:
    (folder / "adapters.yaml").write_text("adapters: []\n")
    path = folder / "dev.yaml"
    path.write_text(yaml.safe_dump(merged(STAGE, overlay)))
    return load_stage(path)


RULES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "prompt within total": (
        {"engine": {"max_input_tokens": 4095}},
        {"engine": {"max_input_tokens": 4096}},
        r"engine: max_input_tokens must be below max_total_tokens",
    ),
    "answer within total": (
        {"engine": {"max_new_tokens": 4095}},
        {"engine": {"max_new_tokens": 4096}},
        r"engine: max_new_tokens, which is \d+.*, must be below max_total_tokens, which is \d+",
    ),
    "default within ceiling": (
        {"engine": {"default_new_tokens": 1024}},
        {"engine": {"default_new_tokens": 1025}},
        r"engine: default_new_tokens must be at most max_new_tokens",
    ),
    "quantize or dtype": (
        {"engine": {"quantize": "bitsandbytes-nf4"}},
        {"engine": {"quantize": "bitsandbytes-nf4", "dtype": "float16"}},
        r"engine: quantize and dtype exclude each other: LoRAX refuses both together",
    ),
    "a quantization that LoRAX knows": (
        {"engine": {"quantize": "hqq-4bit"}},
        {"engine": {"quantize": "nonsense"}},
        r"engine.quantize: 'nonsense': leave it out, or give one that LoRAX knows: awq, eetq, gptq, .*hqq-2bit$",
    ),
    "a quantization with a name": (
        {"engine": {"quantize": None}},
        {"engine": {"quantize": ""}},
        r"engine.quantize: '': leave it out, or give one that LoRAX knows: awq, eetq",
    ),
    "a quantization that vLLM knows": (
        {"engine": {"name": "vllm", "max_active_adapters": 8, "quantize": "torchao"}, "autoscaling": {"target": 5}},
        {"engine": {"name": "vllm", "max_active_adapters": 8, "quantize": "hqq-4bit"}},
        r"engine.quantize: 'hqq-4bit': leave it out, or give one that vLLM knows: awq, auto_awq",
    ),
    "ranks that LoRAX has kernels for": (
        {"engine": {"max_adapter_rank": 128}},
        {"engine": {"max_adapter_rank": 129}},
        r"engine.max_adapter_rank: 129: write a whole number from 1 to 128, the highest of LoRAX",
    ),
    "ranks that vLLM has slots for": (
        {"engine": {"name": "vllm", "max_active_adapters": 1, "max_adapter_rank": 512}},
        {"engine": {"name": "vllm", "max_active_adapters": 1, "max_adapter_rank": 513}},
        r"engine.max_adapter_rank: 513: write a whole number from 1 to 512",
    ),
    "some memory for adapters": (
        {"engine": {"adapter_memory_fraction": 0.05}},
        {"engine": {"adapter_memory_fraction": 0}},
        r"engine.adapter_memory_fraction: 0: write a number above 0 and below 1",
    ),
    "modules by their own name": (
        {"engine": {"name": "vllm", "max_active_adapters": 8, "adapter_target_modules": ["q_proj"]}},
        {"engine": {"name": "vllm", "max_active_adapters": 8, "adapter_target_modules": ["model.q_proj"]}},
        r"engine.adapter_target_modules\[item 1\]: 'model.q_proj': write the module's own name, such as q_proj, without",
    ),
    "modules as they are spelled": (
        {"engine": {"name": "vllm", "max_active_adapters": 8, "adapter_target_modules": ["q_proj", "v_proj"]}},
        {"engine": {"name": "vllm", "max_active_adapters": 8, "adapter_target_modules": ["v_proj", "q_proj "]}},
        r"engine.adapter_target_modules\[item 2\]: 'q_proj ': write the module's own name, such as q_proj",
    ),
    "some modules, or all": (
        {"engine": {"name": "vllm", "max_active_adapters": 8}},
        {"engine": {"name": "vllm", "max_active_adapters": 8, "adapter_target_modules": []}},
        r"engine.adapter_target_modules: \[\]: name a module, or leave the key out for all modules",
    ),
    "vLLM's key": (
        {"engine": {"name": "vllm", "max_active_adapters": 8, "adapter_target_modules": ["q_proj"]}},
        {"engine": {"adapter_target_modules": ["q_proj"]}},
        r"engine: adapter_target_modules has no effect with name: lorax, leave it out: ",
    ),
    "a tool-call parser of vLLM": (
        {"engine": {"name": "vllm", "max_active_adapters": 8, "tool_call_parser": "hermes"}},
        {"engine": {"name": "vllm", "max_active_adapters": 8, "tool_call_parser": "herms"}},
        r"engine.tool_call_parser: 'herms': leave it out, or give one that vLLM has: .*, did you mean 'hermes'",
    ),
    "a tool-call parser on vLLM": (
        {"engine": {"name": "vllm", "max_active_adapters": 8, "tool_call_parser": "hermes"}},
        {"engine": {"tool_call_parser": "hermes"}},
        r"engine: tool_call_parser has no effect with name: lorax, leave it out: ",
    ),
    "a tool-call parser by its key": (
        {"engine": {"name": "vllm", "max_active_adapters": 8, "tool_call_parser": "hermes"}},
        {"engine": {"name": "vllm", "max_active_adapters": 8, "arguments": {"tool-call-parser": "hermes"}}},
        r"engine.arguments: 'tool-call-parser': set engine.tool_call_parser instead",
    ),
    "tool choices by their key": (
        {"engine": {"name": "vllm", "max_active_adapters": 8, "tool_call_parser": "hermes"}},
        {"engine": {"name": "vllm", "max_active_adapters": 8, "arguments": {"enable-auto-tool-choice": True}}},
        r"engine.arguments: 'enable-auto-tool-choice': set engine.tool_call_parser instead",
    ),
    "LoRAX's key": (
        {"engine": {"adapter_memory_fraction": 0.1}},
        {"engine": {"name": "vllm", "max_active_adapters": 8, "adapter_memory_fraction": 0.1}},
        r"engine: adapter_memory_fraction has no effect with name: vllm, leave it out: ",
    ),
    "a name of the base model": (
        {"base_model": {"name": "acme/model"}, "autoscaling": {"target": 5}},
        {"base_model": {"name": ""}},
        r"base_model.name: '': give the name of the base model",
    ),
    "one source of the base model": (
        {"base_model": {"mirror": True}},
        {"base_model": {"path": "."}},
        r"base_model: give either revision \(a 40-digit Hub commit\) or path \(a local directory\)",
    ),
    "mirror of the Hub only": (
        {"base_model": {"mirror": True}},
        {"base_model": {"mirror": True, "path": ".", "revision": None}},
        r"base_model: mirror is for models on the Hub",
    ),
    "token over TLS": (
        {"hub_endpoint": "http://localhost:9000", "base_model": {"mirror": True}},
        {"hub_endpoint": "http://localhost.example.com", "base_model": {"mirror": True}},
        r"hub_endpoint must be https: a token would travel in clear text",
    ),
    "no secret in a URL": (
        {"hub_endpoint": "https://hub.example.com/repository/hf", "base_model": {"mirror": True}},
        {"hub_endpoint": "https://me:hunter2@hub.example.com/hf", "base_model": {"mirror": True}},
        r"dev.yaml: hub_endpoint has a user name or a password, .* in the secret that hub_token_secret names$",
    ),
    "no code of a model's other names": (
        {"base_model": {"also_known_as": ["acme/copy"], "mirror": True}, "engine": {"trust_remote_code": True}},
        {"base_model": {"also_known_as": ["acme/copy"]}, "engine": {"trust_remote_code": True}},
        r"base_model.also_known_as: with engine.trust_remote_code, .*: write base_model.mirror: true",
    ),
    "other names where the engine reads them": (
        {
            "base_model": {"also_known_as": ["acme/copy"]},
            "engine": {"name": "vllm", "max_active_adapters": 8, "trust_remote_code": True},
        },
        {"base_model": {"also_known_as": ["acme/copy"]}, "engine": {"name": "lorax", "trust_remote_code": True}},
        r"base_model.also_known_as: with engine.trust_remote_code, .*: write base_model.mirror: true",
    ),
    "another Hub for the seeder alone": (
        {"hub_endpoint": "https://hub.example.com", "base_model": {"mirror": True}},
        {"hub_endpoint": "https://hub.example.com", "base_model": {"mirror": False}},
        r"hub_endpoint is for the seeder, .* write base_model.mirror: true",
    ),
    "keys by ARN": (
        {"decrypt_keys": [KEY.format("us-east-1")]},
        {"decrypt_keys": ["alias/mine"]},
        r"decrypt_keys\[item 1\]: 'alias/mine': write the ARN of a key, not of an alias",
    ),
    "image's length": (
        {"image": f"{ECR}/{'a' * 200}"},
        {"image": f"{ECR}/{'a' * 255}"},
        r"image: '.*'…: SageMaker takes 255 characters without spaces: write asset, or an image's URI",
    ),
    "image in ECR": (
        {"image": "444455556666.dkr.ecr-fips.us-east-1.amazonaws.com/lora:1"},
        {"image": "ghcr.io/acme/lora:1"},
        r"image: '.*': SageMaker pulls from a private repository of ECR only: push it to "
        r"<account>.dkr.ecr.us-east-1.amazonaws.com/…",
    ),
    "image at the partition's domain": (
        {"region": "cn-north-1", "image": "444455556666.dkr.ecr.cn-north-1.amazonaws.com.cn/lora:1"},
        {"region": "cn-north-1", "image": "444455556666.dkr.ecr.cn-north-1.amazonaws.com/lora:1"},
        r"image: the repositories of cn-north-1 are at <account>.dkr.ecr.cn-north-1.amazonaws.com.cn: write amazonaws.com.cn",
    ),
    "a region that is there": (
        {"region": "eusc-de-east-1"},
        {"region": "us-eats-1"},
        r"region: 'us-eats-1': no region with SageMaker hosting is known by this name, did you mean 'us-east-1'; to add a new one: docs/extending.md, A region",
    ),
    "an instance type that is there": (
        {"endpoint": {"instance_type": "ml.p5en.48xlarge"}, "engine": {"tensor_parallel": 8}},
        {"endpoint": {"instance_type": "ml.g5.3xlarge"}},
        r"endpoint.instance_type: 'ml.g5.3xlarge': no such type is known by this name, did you mean 'ml.g5.\d?xlarge'; to add one: docs/extending.md, An instance type",
    ),
    "an instance type with an NVIDIA GPU": (
        {"endpoint": {"instance_type": "ml.g6.xlarge"}},
        {"endpoint": {"instance_type": "ml.inf2.xlarge"}},
        r"endpoint.instance_type: 'ml.inf2.xlarge': no type with an NVIDIA GPU is known by this name, did you mean 'ml.g\w+.xlarge'; to add one",
    ),
    "an AMI that is there": (
        {"endpoint": {"inference_ami_version": "al2-ami-sagemaker-inference-gpu-3-1"}},
        {"endpoint": {"inference_ami_version": "al2-ami-sagemaker-inference-gpu-3"}},
        r"endpoint.inference_ami_version: 'al2-ami-sagemaker-inference-gpu-3': write .* did you mean 'al2-ami-sagemaker-inference-gpu-\d",
    ),
    "a key of the region's partition": (
        {"region": "us-gov-west-1", "decrypt_keys": [KEY.format("us-gov-west-1").replace("arn:aws:", "arn:aws-us-gov:")]},
        {"region": "us-gov-west-1", "decrypt_keys": [KEY.format("us-gov-west-1")]},
        r"decrypt_keys\[item 1\]: it is in another partition, ARNs of us-gov-west-1 begin with arn:aws-us-gov:",
    ),
    "a topic of the region's partition": (
        {"observability": {"alarm_topic": "arn:aws:sns:us-east-1:111122223333:on-call"}},
        {"observability": {"alarm_topic": "arn:aws-cn:sns:us-east-1:111122223333:on-call"}},
        r"observability.alarm_topic: it is in another partition, ARNs of us-east-1 begin with arn:aws:",
    ),
    "an address for mail": (
        {"observability": {"alarm_emails": ["a.b+c@mail.example.com"]}},
        {"observability": {"alarm_emails": ["a@example"]}},
        r"observability.alarm_emails\[item 1\]: 'a@example': write a mail address",
    ),
    "flags that LoRAX has": (
        {"engine": {"arguments": {"max_batch_prefill_tokens": 2048, "compile": True}}},
        {"engine": {"arguments": {"max-batch-prefil-tokens": 2048}}},
        r"engine.arguments: 'max-batch-prefil-tokens': LoRAX 0.12.1 has no flag of this name, did you mean 'max-batch-prefill-tokens'",
    ),
    "flags that vLLM has": (
        {"engine": {"name": "vllm", "max_active_adapters": 8, "arguments": {"kv-cache-dtype": "fp8"}}},
        {"engine": {"name": "vllm", "max_active_adapters": 8, "arguments": {"kv-cache-dtype": "fp9"}}},
        r"engine.arguments: 'kv-cache-dtype': 'fp9' is none of auto, bfloat16, .*, did you mean 'fp8'",
    ),
    "flags that the app does not set": (
        {"engine": {"name": "vllm", "max_active_adapters": 8, "arguments": {"enforce-eager": True}}},
        {"engine": {"name": "vllm", "max_active_adapters": 8, "arguments": {"--max_num_seqs": 8}}},
        r"engine.arguments: '--max_num_seqs': set engine.max_concurrent_requests instead",
    ),
    "flags within SageMaker's length": (
        {"engine": {"name": "vllm", "max_active_adapters": 8, "arguments": {"chat-template": "a" * 1000}}},
        {"engine": {"name": "vllm", "max_active_adapters": 8, "arguments": {"chat-template": "a" * 1010}}},
        r"engine.arguments: the container's variable ENGINE_ARGUMENTS would have 1030 characters, SageMaker takes 1024",
    ),
    "image's region": (
        {"image": "444455556666.dkr.ecr.us-east-1.amazonaws.com/lora:1"},
        {"image": "444455556666.dkr.ecr.eu-west-1.amazonaws.com/lora:1"},
        r"image: it is in eu-west-1, SageMaker pulls from the endpoint's own region only: push it to us-east-1",
    ),
    "volume key's region": (
        {"endpoint": {"volume_key": KEY.format("us-east-1")}},
        {"endpoint": {"volume_key": KEY.format("eu-west-1")}},
        r"endpoint.volume_key: it is in eu-west-1: name one of us-east-1",
    ),
    "bucket key's region": (
        {"security": {"key_arn": KEY.format("us-east-1")}},
        {"security": {"key_arn": KEY.format("eu-west-1")}},
        r"security.key_arn: it is in eu-west-1: name one of us-east-1",
    ),
    "key only where one is used": (
        {"security": {"encryption": "s3_managed"}},
        {"security": {"encryption": "s3_managed", "key_arn": KEY.format("us-east-1")}},
        r"security: key_arn needs encryption: customer_key",
    ),
    "topic's region": (
        {"observability": {"alarm_topic": "arn:aws:sns:us-east-1:111122223333:on-call"}},
        {"observability": {"alarm_topic": "arn:aws:sns:eu-west-1:111122223333:on-call"}},
        r"observability.alarm_topic: it is in eu-west-1: name one of us-east-1",
    ),
    "mail to the stage's own topic": (
        {"observability": {"alarm_emails": ["a@example.com"]}},
        {"observability": {"alarm_emails": ["a@example.com"], "alarm_topic": "arn:aws:sns:us-east-1:111122223333:on-call"}},
        r"observability.alarm_emails: they subscribe to the stage's own topic: leave alarm_topic out",
    ),
    "log retention that CloudWatch knows": (
        {"observability": {"log_retention_days": 60}},
        {"observability": {"log_retention_days": 61}},
        r"observability.log_retention_days: 61: write 1, 3, 5",
    ),
    "GPUs of the type": (
        {"engine": {"tensor_parallel": 4}, "endpoint": {"instance_type": "ml.g5.12xlarge"}},
        {"engine": {"tensor_parallel": 2}, "endpoint": {"instance_type": "ml.g5.xlarge"}},
        r"engine.tensor_parallel: ml.g5.xlarge has 1 of the 2 GPUs: write 1, or take a larger type",
    ),
    "driver for the engine's CUDA": (
        {"endpoint": {"inference_ami_version": "al2-ami-sagemaker-inference-gpu-3-1"}},
        {"endpoint": {"inference_ami_version": "al2-ami-sagemaker-inference-gpu-2"}, "engine": {"name": "vllm"}},
        r"endpoint.inference_ami_version: .*gpu-2 \(driver 535, CUDA 12.2\) is too old for the image's CUDA 13.0: write al2023",
    ),
    "kernels for the GPU": (
        {"endpoint": {"instance_type": "ml.g6.xlarge"}},
        {"endpoint": {"instance_type": "ml.g4dn.xlarge"}},
        r"endpoint.instance_type: LoRAX does not run on the T4 of ml.g4dn.xlarge: take ml.g5, ml.g6, .* or ml.p5en",
    ),
    "memory of the GPU": (
        {"engine": {"name": "vllm", "max_active_adapters": 13}},
        {"engine": {"name": "vllm", "max_active_adapters": 14}},
        r"endpoint.instance_type: the model needs 2\d.\d GiB of each GPU of ml.g5.xlarge, of which vllm may use 20.3 "
        r"\(.*weights 7.24 B × 2 bytes = 13.5 GiB;.*14 slots of rank 64.*\): write engine.max_active_adapters: 13; or",
    ),
    "heads to share": (
        {"engine": {"tensor_parallel": 4}, "endpoint": {"instance_type": "ml.g5.12xlarge"}},
        {"engine": {"tensor_parallel": 3}, "endpoint": {"instance_type": "ml.g5.12xlarge"}},
        r"engine.tensor_parallel: 3 GPUs cannot share the model's 32 attention heads: write 1, 2 or 4",
    ),
    "start-up within SageMaker's range": (
        {"endpoint": {"startup_health_check_seconds": 3600}},
        {"endpoint": {"startup_health_check_seconds": 3601}},
        r"endpoint.startup_health_check_seconds: 3601: write a whole number from 60 to 3600",
    ),
    "download within SageMaker's range": (
        {"endpoint": {"model_download_seconds": 60}},
        {"endpoint": {"model_download_seconds": 59}},
        r"endpoint.model_download_seconds: 59: write a whole number from 60 to 3600",
    ),
    "metrics as often as SageMaker emits them": (
        {"endpoint": {"metrics_publish_seconds": 10}},
        {"endpoint": {"metrics_publish_seconds": 15}},
        r"endpoint.metrics_publish_seconds: 15: write 10, 30, 60",
    ),
    "limits in order": (
        {"autoscaling": {"min_instances": 1, "max_instances": 1}},
        {"autoscaling": {"min_instances": 3}},
        r"autoscaling: min_instances, which is \d.*, must be at most max_instances, which is \d",
    ),
    "count within the limits": (
        {"endpoint": {"instance_count": 2}},
        {"endpoint": {"instance_count": 3}},
        r"endpoint.instance_count: 3 is outside of autoscaling's limits, 1 to 2",
    ),
    "a request that is answered in time": (
        {"autoscaling": {"slo_seconds": 4}},
        {"autoscaling": {"slo_seconds": 2}},
        r"autoscaling.slo_seconds: 2: a single request of 60 \+ 64 tokens takes about 2.\d s on ml.g5.xlarge \(computed\): write more",
    ),
    "no target is needed without the time": (
        {"autoscaling": {"slo_seconds": 1, "target": 8}},
        {"autoscaling": {"slo_seconds": 1, "target": 0}},
        r"autoscaling.target: 0: write a number above 0",
    ),
    "typical lengths within the engine's": (
        {"autoscaling": {"typical_input_tokens": 3500, "typical_output_tokens": 500}},
        {"autoscaling": {"typical_input_tokens": 4000, "typical_output_tokens": 500}},
        r"autoscaling: typical_input_tokens and typical_output_tokens, 4000 \+ 500, are more than engine.max_total_tokens, 4096: write",
    ),
    "a target for a model of unknown size": (
        {"base_model": {"name": "acme/model"}, "autoscaling": {"enabled": False}},
        {"base_model": {"name": "acme/model"}},
        r"autoscaling.target: it cannot be derived for base_model.name acme/model, because its size, .* is not known: write autoscaling.target",
    ),
    "no instance is no fleet": (
        {"autoscaling": {"min_instances": 1}},
        {"autoscaling": {"min_instances": 0}},
        r"autoscaling.min_instances: 0: write a whole number, 1 or more",
    ),
    "cron of six fields": (
        {"autoscaling": {"schedules": [{"name": "a", "cron": "cron(0 7 ? * MON-FRI *)", "min_instances": 1, "max_instances": 2}]}},
        {"autoscaling": {"schedules": [{"name": "a", "cron": "0 7 * * 1-5", "min_instances": 1, "max_instances": 2}]}},
        r"autoscaling.schedules\['.*'\].cron: '0 7 \* \* 1-5': write six fields, e.g. cron\(0 7 \? \* MON-FRI \*\)",
    ),
    "cron of one kind of day": (
        {"autoscaling": {"schedules": [{"name": "a", "cron": "cron(0 7 1 * ? *)", "min_instances": 1, "max_instances": 2}]}},
        {"autoscaling": {"schedules": [{"name": "a", "cron": "cron(0 7 * * MON *)", "min_instances": 1, "max_instances": 2}]}},
        r"exactly one of day of month \(third field\) and day of week \(fifth\) must be \?",
    ),
    "cron with hours that there are": (
        {"autoscaling": {"schedules": [{"name": "a", "cron": "cron(0/15 8-18 ? * 2,WED,FRI#1 *)", "min_instances": 1, "max_instances": 2}]}},
        {"autoscaling": {"schedules": [{"name": "a", "cron": "cron(0 24 ? * MON *)", "min_instances": 1, "max_instances": 2}]}},
        r"schedules\['.*'\].cron: 'cron\(0 24 \? \* MON \*\)': '24' is no hour, which has the numbers 0 to 23",
    ),
    "cron with days that there are": (
        {"autoscaling": {"schedules": [{"name": "a", "cron": "cron(0 7 LW 1,DEC ? 2026-2030)", "min_instances": 1, "max_instances": 2}]}},
        {"autoscaling": {"schedules": [{"name": "a", "cron": "cron(0 7 ? * Mon-Fri *)", "min_instances": 1, "max_instances": 2}]}},
        r"'Mon-Fri' is no day of week, which has the numbers 1 to 7",
    ),
    "cron with months that there are": (
        {"autoscaling": {"schedules": [{"name": "a", "cron": "cron(*/5 7 15W * ? *)", "min_instances": 1, "max_instances": 2}]}},
        {"autoscaling": {"schedules": [{"name": "a", "cron": "cron(0 7 1 13 ? *)", "min_instances": 1, "max_instances": 2}]}},
        r"'13' is no month, which has the numbers 1 to 12",
    ),
    "an id of the Hub": (
        {"base_model": {"name": "acme/model.v1"}, "autoscaling": {"target": 5}},
        {"base_model": {"name": "https://huggingface.co/acme/model"}},
        r"base_model: name: 'https://huggingface.co/acme/model' is no id of the Hub: write organization/model",
    ),
    "timezone that is there": (
        {"autoscaling": {"schedules": [{"name": "a", "cron": "cron(0 7 1 * ? *)", "timezone": "Europe/Berlin", "min_instances": 1, "max_instances": 2}]}},
        {"autoscaling": {"schedules": [{"name": "a", "cron": "cron(0 7 1 * ? *)", "timezone": "Europe/Berln", "min_instances": 1, "max_instances": 2}]}},
        r"timezone: 'Europe/Berln': write a name of the IANA database, e.g. Europe/Berlin, did you mean 'Europe/Berlin'",
    ),
    "timezone that is no directory of the database": (
        {"autoscaling": {"schedules": [{"name": "a", "cron": "cron(0 7 1 * ? *)", "timezone": "Etc/GMT+9", "min_instances": 1, "max_instances": 2}]}},
        {"autoscaling": {"schedules": [{"name": "a", "cron": "cron(0 7 1 * ? *)", "timezone": "Europe", "min_instances": 1, "max_instances": 2}]}},
        r"timezone: 'Europe': write a name of the IANA database",
    ),
    "schedule in order": (
        {"autoscaling": {"schedules": [{"name": "a", "cron": "cron(0 7 1 * ? *)", "min_instances": 2, "max_instances": 2}]}},
        {"autoscaling": {"schedules": [{"name": "a", "cron": "cron(0 7 1 * ? *)", "min_instances": 3, "max_instances": 2}]}},
        r"autoscaling.schedules\['.*'\]: min_instances, which is \d, must be at most max_instances, which is \d",
    ),
    "schedules by name": (
        {"autoscaling": {"schedules": [{"name": n, "cron": "cron(0 7 1 * ? *)", "min_instances": 1, "max_instances": 2} for n in "ab"]}},
        {"autoscaling": {"schedules": [{"name": n, "cron": "cron(0 7 1 * ? *)", "min_instances": 1, "max_instances": 2} for n in "aa"]}},
        r"autoscaling: schedules: 'a' is there twice; give each another name",
    ),
    "schedules need autoscaling": (
        {"autoscaling": {"enabled": False}},
        {"autoscaling": {"enabled": False, "schedules": [{"name": "a", "cron": "cron(0 7 1 * ? *)", "min_instances": 1, "max_instances": 2}]}},
        r"autoscaling.schedules: they need autoscaling.enabled: true",
    ),
    "expectation within the limits": (
        {"cost": {"expected_instances": 2}},
        {"cost": {"expected_instances": 2.5}},
        r"cost.expected_instances: 2.5 is outside of what autoscaling allows, 1 to 2",
    ),
    "rolling needs two": (
        {"rollout": {"strategy": "rolling"}, "endpoint": {"instance_count": 2}, "autoscaling": {"min_instances": 2}},
        {"rollout": {"strategy": "rolling"}},
        r"rollout: strategy: rolling replaces half of a fleet at most, and this one may have 1 instance: write strategy: all_at_once",
    ),
    "time for all steps": (
        {"rollout": {"strategy": "canary", "timeout_seconds": 1400}},
        {"rollout": {"strategy": "canary", "timeout_seconds": 1399}},
        r"rollout: timeout_seconds: 1399 is too short, pauses and one instance's start may take 1400 s: raise it",
    ),
    "time that SageMaker gives": (
        {"rollout": {"strategy": "linear", "step_percent": 50, "step_seconds": 3600}},
        {"rollout": {"strategy": "linear", "step_percent": 10, "step_seconds": 3600}},
        r"rollout: pauses and one instance's start may take 33500 s and SageMaker gives an update 28800",
    ),
    "step within SageMaker's range": (
        {"rollout": {"step_percent": 50}},
        {"rollout": {"step_percent": 51}},
        r"rollout.step_percent: 51: write a whole number from 10 to 50",
    ),
    "batch within SageMaker's range": (
        {"rollout": {"batch_percent": 5}},
        {"rollout": {"batch_percent": 4}},
        r"rollout.batch_percent: 4: write a whole number from 5 to 50",
    ),
    "no VPC where none is used": (
        {"network": {"mode": "vpc", **VPC}},
        {"network": VPC},
        r"network: vpc_id, subnet_ids and security_group_ids need mode: vpc or mode: private",
    ),
    "subnets of a VPC": (
        {"network": {"mode": "vpc", **VPC}},
        {"network": {"mode": "vpc", "subnet_ids": VPC["subnet_ids"]}},
        r"network: subnet_ids and security_group_ids need the vpc_id that they belong to",
    ),
    "private addresses": (
        {"network": {"mode": "vpc", "cidr": "172.16.4.0/22"}},
        {"network": {"mode": "vpc", "cidr": "8.8.8.0/24"}},
        r"network.cidr: '8.8.8.0/24': write private addresses, and /16 to /24",
    ),
    "a block of addresses": (
        {"network": {"mode": "vpc", "cidr": "10.0.0.0/16"}},
        {"network": {"mode": "vpc", "cidr": "10.0.0.1/16"}},
        r"network.cidr: '10.0.0.1/16': write a block of private addresses, e.g. 10.0.0.0/24",
    ),
    "two zones": (
        {"network": {"mode": "vpc", **VPC}},
        {"network": {"mode": "vpc", "vpc_id": VPC["vpc_id"], "subnet_ids": VPC["subnet_ids"][:1]}},
        r"network: name two subnet_ids at least, in different zones",
    ),
    "no Hub without a way to it": (
        {"network": {"mode": "private"}, "base_model": {"mirror": True}},
        {"network": {"mode": "private"}},
        r"network.mode: private has no way to the Hub: write base_model.mirror: true",
    ),
    "variables within SageMaker's length": (
        {"engine": {"name": "vllm", "max_active_adapters": 8, "adapter_target_modules": ["q_proj"] * 100}},
        {"engine": {"name": "vllm", "max_active_adapters": 8, "adapter_target_modules": ["gate_up_proj"] * 100}},
        r"the container's variable ADAPTER_TARGET_MODULES would have 1299 characters, SageMaker takes 1024",
    ),
    "tags of one's own": (
        {"tags": {"team": "search"}},
        {"tags": {"aws:team": "search"}},
        r"tags: 'aws:team': tags that start with aws: or lora-serving: are AWS's and this app's: take another name",
    ),
}  # fmt: skip


@pytest.mark.parametrize("rule", RULES)
def test_a_file_that_keeps_the_rule_is_loaded(rule: str, tmp_path: Path) -> None:
    load(tmp_path, RULES[rule][0])


@pytest.mark.parametrize("rule", RULES)
def test_a_file_that_breaks_the_rule_is_refused_in_one_line(rule: str, tmp_path: Path) -> None:
    _, broken, message = RULES[rule]
    with pytest.raises(ConfigError, match=message) as caught:
        load(tmp_path, broken)
    assert str(caught.value).startswith(str(tmp_path / "dev.yaml"))
    assert "\n" not in str(caught.value)


WARNINGS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "engine-arguments": (
        {"engine": {"arguments": {}}},
        {"engine": {"arguments": {"compile": True, "backend": "fa2"}}},
        "engine.arguments: backend: fa2, compile: true: passed on to LoRAX as they are. The check of the GPU memory does not count them",
    ),
    "volume-key-on-nvme": (
        {},
        {"endpoint": {"volume_key": KEY.format("us-east-1")}},
        "endpoint.volume_key: ml.g5.xlarge stores on NVMe, which this key does not encrypt",
    ),
    "gpu-memory": (
        {},
        {"engine": {"max_total_tokens": 16384}},
        "to spare, with a KV cache for 2 sequence(s) of max_total_tokens 16384",
    ),
    "idle-gpus": (
        {"engine": {"tensor_parallel": 4}, "endpoint": {"instance_type": "ml.g5.12xlarge"}},
        {"endpoint": {"instance_type": "ml.g5.12xlarge"}},
        "engine.tensor_parallel: 1 leaves 3 of the 4 GPUs of ml.g5.12xlarge idle",
    ),
    "short-pause": (
        {"rollout": {"bake_seconds": 240}},
        {"rollout": {"bake_seconds": 239}},
        "rollout.bake_seconds: 239 s are over before an alarm, which three bad minutes raise, can roll an update back",
    ),
    "affinity-of-one": (
        {"endpoint": {"routing": "adapter_affine"}, "autoscaling": {"max_instances": 2}},
        {"endpoint": {"routing": "adapter_affine"}, "autoscaling": {"max_instances": 1}},
        "endpoint.routing: adapter_affine has no effect with one instance",
    ),
    "image-tag": (
        {"image": "444455556666.dkr.ecr.us-east-1.amazonaws.com/lora@sha256:" + "0" * 64},
        {"image": "444455556666.dkr.ecr.us-east-1.amazonaws.com/lora:1"},
        "names a tag, which may point to another image when an instance is added",
    ),
    "data-capture": (
        {"endpoint": {"data_capture": {"percent": 0}}},
        {"endpoint": {"data_capture": {"percent": 10}}},
        "endpoint.data_capture: 10 % of all prompts and answers are recorded in the bucket; they are personal",
    ),
}


@pytest.mark.parametrize("name", WARNINGS)
def test_what_may_be_meant_is_warned_of_and_loaded(name: str, tmp_path: Path) -> None:
    clean, doubtful, sentence = WARNINGS[name]
    assert name not in dict(warnings(load(tmp_path, clean)))
    assert sentence in dict(warnings(load(tmp_path, doubtful)))[name]


@pytest.mark.parametrize(
    ("overlay", "ami"),
    [
        ({}, "al2-ami-sagemaker-inference-gpu-3-1"),
        ({"engine": {"name": "vllm", "max_active_adapters": 8}}, "al2023-ami-sagemaker-inference-gpu-4-1"),
        ({"endpoint": {"instance_type": "ml.g7e.2xlarge"}, "engine": {"name": "vllm"}}, None),
    ],
)
def test_the_ami_is_the_one_that_the_engines_cuda_needs(
    tmp_path: Path, overlay: dict[str, Any], ami: str | None
) -> None:
    assert inference_ami(load(tmp_path, overlay).config) == ami


@pytest.mark.parametrize(
    ("overlay", "strategy", "quota_of_two"),
    [
        ({}, "all_at_once", 4),
        ({"endpoint": {"instance_count": 2}, "autoscaling": {"min_instances": 2}}, "rolling", 3),
        ({"endpoint": {"instance_count": 2}, "autoscaling": {"min_instances": 1}}, "all_at_once", 4),
        ({"autoscaling": {"enabled": False}, "endpoint": {"instance_count": 2}}, "rolling", 3),
        ({"rollout": {"strategy": "canary"}}, "canary", 4),
    ],
)
def test_the_rollout_is_chosen_by_the_fewest_instances(
    tmp_path: Path, overlay: dict[str, Any], strategy: str, quota_of_two: int
) -> None:
    plan = rollout_plan(load(tmp_path, overlay).config)
    assert (plan.strategy, plan.quota(2)) == (strategy, quota_of_two)
    assert plan.timeout >= plan.pauses_seconds + plan.rounds * (1800 + 800)


@pytest.mark.parametrize(
    ("name", "message"), [("Prod", "lower-case"), ("a-b", "lower-case"), ("a" * 32, "31")]
)
def test_the_stages_name_must_fit_into_the_endpoints(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "adapters.yaml").write_text("adapters: []\n")
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages" / f"{name}.yaml").write_text(
        yaml.safe_dump(merged(STAGE, {"adapters": "../adapters.yaml"}))
    )
    with pytest.raises(ConfigError, match=message):
        load_stages(tmp_path / "stages")


def documented(service: str, operation: str, *path: str) -> set[int]:
    """The whole numbers in botocore's description of a parameter."""
    model = get_session().get_service_model(service)
    shape: Any = model.operation_model(operation).input_shape
    for name in path:
        shape = shape.members[name]
    return {int(number) for number in re.findall(r"\b\d+\b", shape.documentation)}


@pytest.mark.parametrize(
    ("section", "key", "numbers"),
    [
        (Observability, "log_retention_days", documented("logs", "PutRetentionPolicy", "retentionInDays")),
        (Endpoint, "metrics_publish_seconds", documented("sagemaker", "CreateEndpointConfig", "MetricsConfig", "MetricPublishFrequencyInSeconds")),
    ],
)  # fmt: skip
def test_the_values_of_a_key_are_aws_own(section: type[BaseModel], key: str, numbers: set[int]) -> None:
    assert set(get_args(section.model_fields[key].annotation)) <= numbers
