"""Requests that ask for an adapter as other servers' callers do, after reports in public trackers and manuals."""

from typing import Any

#: Beside `inputs`: LMI, LoRAX at the wrong level, SGLang, llama.cpp, Workers AI, S-LoRA, BentoML, PEFT's manual,
#: clients in JavaScript, vLLM's command line, SageMaker's TargetModel and InferenceComponentName, TensorRT-LLM; and
#: arguments of client libraries, written into the body as they are.
TOP: tuple[dict[str, Any], ...] = (
    {"adapters": ["otter"]},
    {"adapters": "otter"},
    {"adapter": "otter"},
    {"model": "otter"},
    {"adapter_id": "otter"},
    {"adapter_id": "otter", "adapter_source": "s3"},
    {"lora_path": "otter"},
    {"lora_path": ["otter"]},
    {"lora": [{"id": 0, "scale": 1.0}]},
    {"raw": True, "lora": "otter"},
    {"model_dir": "org/model", "lora_dir": "org/otter"},
    {"adapter_name": "otter"},
    {"peft_model_id": "org/otter"},
    {"loraAdapter": "otter"},
    {"LoRA_ID": "otter"},
    {"lora_modules": ["otter=/adapters/otter"]},
    {"TargetModel": "otter.tar.gz"},
    {"inference_component_name": "otter"},
    {"lora_weights": [[0.0]], "lora_config": [[0]]},
    {"extra_body": {"adapter_id": "otter"}},
    {"model_kwargs": {"adapter_id": "otter"}},
    {"instances": [{"text": "secret", "adapter_id": "otter"}]},
)
#: In `parameters`: other servers' names, spellings of the right one, and vLLM's class.
PARAMETERS: tuple[dict[str, Any], ...] = (
    {"adapter_name": "otter"},
    {"adapter_ids": ["otter", "heron"]},
    {"lora_id": "otter"},
    {"lora_name": "otter"},
    {"lora_task_id": 3},
    {"lora_request": {"lora_name": "otter", "lora_int_id": 1, "lora_local_path": "/adapters/otter"}},
    {"maxNewTokens": 16, "adapterName": "otter"},
    {"adapterId": "otter"},
    {"adapterid": "otter"},
    {"adaptor_id": "otter"},
    {"model": "otter"},
    {"adapters": []},
    {"parameters": {"adapter_id": "otter"}},
    {"AdapterId": "otter"},
    {"adapter_id ": "otter"},
)
#: In OpenAI's schemas, beside `model`.
OPENAI: tuple[dict[str, Any], ...] = (
    {"adapter_id": "otter"},
    {"lora_path": "otter"},
    {"adapters": "org/otter"},
    {"lora_request": {"lora_name": "otter"}},
    {"lora": [{"id": 0, "scale": 0.1}]},
    {"adapter_name": "otter"},
    {"extra_body": {"adapter_id": "otter"}},
    {"parameters": {"adapter_id": "otter"}},
)
ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"
#: Headers: of LMI and vLLM on SageMaker, of SageMaker's multi-model endpoints and inference components, of clients
#: that reach the container itself; and custom attributes, which have no format.
HEADERS: tuple[dict[str, str], ...] = (
    {"X-Amzn-SageMaker-Adapter-Identifier": "otter"},
    {"X-Amzn-SageMaker-Adapter-Alias": "otter"},
    {"X-Amzn-SageMaker-Target-Model": "otter.tar.gz"},
    {"X-Amzn-SageMaker-Inference-Component": "otter"},
    {"x-lora-id": "otter"},
    {"adapter-id": "otter"},
    {ATTRIBUTES: "adapter=otter"},
    {ATTRIBUTES: "accept_eula=true;lora_id=otter"},
    {ATTRIBUTES: '{"trace": "1", "adapter_id": "otter"}'},
    {ATTRIBUTES: "trace: 1, adapters: [otter]"},
)
#: Custom attributes with the adapter `otter`: Python's repr, JSON within JSON, other separators, an index, an URL.
WRITTEN: tuple[str, ...] = (
    "{'adapter_id': 'otter'}",
    r'"{\"adapter_id\": \"otter\"}"',
    "tenant=42|adapter=otter",
    "attrs={adapter=otter}",
    "a=b:adapter=otter",
    "_adapter=otter",
    "lora[]=otter",
    "lora[0]=otter",
    "adapter[id]=otter",
    "adapter%3Dotter",
    "adapter==otter",
    "trace=1/lora=otter",
    "{meta:{adapter:otter}}",
    "url=https://h/x?adapter=otter",
)
#: Names that end in `model`, without a word for an adapter.
OF_A_MODEL: tuple[dict[str, str], ...] = (
    {"X-Model": "heron"},
    {"X-Device-Model": "iPhone"},
    {ATTRIBUTES: "tfs-model-name=heron,tfs-method=predict"},
    {ATTRIBUTES: '{"trace": "1", "base_model": "org/base"}'},
)
#: Headers that choose nothing: what SageMaker and JumpStart's and tracing clients send.
HARMLESS: tuple[dict[str, str], ...] = (
    {ATTRIBUTES: "accept_eula=true"},
    {ATTRIBUTES: "trace=7f3a-adapter-test"},
    {ATTRIBUTES: "model_version=3;trace=1"},
    {ATTRIBUTES: '{"feature": "flat"}'},
    {ATTRIBUTES: "c000b4f9-df62-4c85-a0bf-7c525f9104a4"},
    {ATTRIBUTES: "adapter="},
    {ATTRIBUTES: '{"trace": "1", "adapter_id": null}'},
    {ATTRIBUTES: "{'adapter_id': None, 'trace': '1'}"},
    {"Sec-CH-UA-Model": '"Pixel 9"', "Sec-CH-UA": '"Chromium";v="140"'},
    {"X-Model-Path": "/opt/ml/model", "X-Multilora": "1"},
    {
        "X-Amzn-SageMaker-Inference-Id": "order-66",
        "X-Amzn-SageMaker-Session-Id": "1",
        "X-Amzn-SageMaker-Target-Variant": "AllTraffic",
        "X-Amzn-Trace-Id": "Root=1-2",
        "X-Exploration-Id": "3",
        "traceparent": "00-1-2-01",
    },
)
