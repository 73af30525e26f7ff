"""One stage of the app: wires the stacks. The only construct that sees the config."""

from __future__ import annotations

import aws_cdk as cdk
from constructs import Construct

from adapters.store import model_prefix as store_model_prefix
from stacks.adapter_store import AdapterStore
from stacks.config import Engine, Gateway, LoadedStage, StageConfig
from stacks.model_source import LocalModel
from stacks.serving import Serving


class ServingStage(cdk.Stage):
    """Adapter store and endpoint of one stage."""

    def __init__(self, scope: Construct, construct_id: str, *, stage: LoadedStage) -> None:
        """`stage` is what `stacks.config.load_stage` returned."""
        config = stage.config
        env = cdk.Environment(account=config.account, region=config.region)
        super().__init__(scope, construct_id, env=env, stage_name=f"LoraServing-{construct_id}")
        cdk.Tags.of(self).add("lora-serving:stage", stage.name)
        path = config.base_model.path
        local_model = (
            None if path is None else LocalModel(config.base_model.name, (stage.directory / path).resolve())
        )
        model_prefix = _model_prefix(config, local_model)
        store = AdapterStore(
            self,
            "AdapterStore",
            manifest=stage.manifest,
            manifest_directory=(stage.directory / config.adapters).parent,
            engine=config.engine.name,
            max_adapter_rank=config.engine.max_adapter_rank,
            adapter_target_modules=config.engine.adapter_target_modules or (),
            tensor_parallel=config.engine.tensor_parallel,
            base_model=config.base_model.name,
            base_model_revision=config.base_model.revision,
            local_model=local_model,
            model_prefix=model_prefix,
            trust_remote_code=config.engine.trust_remote_code,
            hub_endpoint=config.hub_endpoint,
            hub_token_secret=config.hub_token_secret,
            decrypt_keys=config.decrypt_keys,
            retention=cdk.Duration.days(config.retention_days),
            retain_data=config.retain_data,
            env=env,
        )
        serving = Serving(
            self,
            "Serving",
            bucket=store.bucket,
            key=store.key,
            model_prefix=model_prefix,
            image=config.image,
            engine=config.engine.name,
            environment=_environment(
                config.engine, config.gateway, config.base_model.name, config.base_model.revision
            ),
            instance_type=config.endpoint.instance_type,
            instance_count=config.endpoint.instance_count,
            startup_health_check_seconds=config.endpoint.startup_health_check_seconds,
            model_download_seconds=config.endpoint.model_download_seconds,
            inference_ami_version=config.endpoint.inference_ami_version,
            min_instances=config.autoscaling.min_instances,
            max_instances=config.autoscaling.max_instances,
            target_concurrent_requests=config.autoscaling.target_concurrent_requests,
            scale_out_cooldown=cdk.Duration.seconds(config.autoscaling.scale_out_cooldown_seconds),
            scale_in_cooldown=cdk.Duration.seconds(config.autoscaling.scale_in_cooldown_seconds),
            env=env,
        )
        # A mounted model must lie in the bucket before SageMaker looks for it.
        serving.add_stack_dependency(store)


def _model_prefix(config: StageConfig, local: LocalModel | None) -> str | None:
    """Where the model lies in the bucket; None if the container fetches it from the Hub."""
    model = config.base_model
    if local is not None:
        return local.prefix
    if not model.mirror:
        return None
    # With its code it is another set of files.
    code = "-with-code" if config.engine.trust_remote_code else ""
    return store_model_prefix(model.name, f"{model.revision}{code}")


def _environment(engine: Engine, gateway: Gateway, base_model: str, revision: str | None) -> dict[str, str]:
    """The container's environment; the names are the seed article's where it has one."""
    optional = {
        "HF_MODEL_REVISION": revision,
        "HF_MODEL_QUANTIZE": engine.quantize,
        "DTYPE": engine.dtype,
        "ADAPTER_TARGET_MODULES": ",".join(engine.adapter_target_modules or ()) or None,
        "ADAPTER_MEMORY_FRACTION": engine.adapter_memory_fraction if engine.name == "lorax" else None,
    }
    return {
        "HF_MODEL_ID": base_model,
        "SM_NUM_GPUS": str(engine.tensor_parallel),
        "HF_MODEL_TRUST_REMOTE_CODE": str(engine.trust_remote_code).lower(),
        "MAX_INPUT_LENGTH": str(engine.max_input_tokens),
        "MAX_TOTAL_TOKENS": str(engine.max_total_tokens),
        "DEFAULT_MAX_NEW_TOKENS": str(engine.default_new_tokens),
        "MAX_NEW_TOKENS": str(engine.max_new_tokens),
        "MAX_CONCURRENT_REQUESTS": str(engine.max_concurrent_requests),
        "MAX_ADAPTER_RANK": str(engine.max_adapter_rank),
        "MAX_ACTIVE_ADAPTERS": str(engine.max_active_adapters),
        # The gateway's variables are the settings' names.
        **{name.upper(): f"{value:g}" for name, value in gateway},
    } | {name: str(value) for name, value in optional.items() if value is not None}
