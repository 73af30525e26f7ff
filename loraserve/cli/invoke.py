"""The command `invoke`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from loraserve.client import EndpointClient


def command(
    prompt: Annotated[str, typer.Argument(help="For Mistral-style models: '[INST] … [/INST]'.")],
    adapter: Annotated[
        str | None, typer.Option(help="Name, or name@revision; without it, the base model.")
    ] = None,
    stage: Annotated[
        str, typer.Option(help="A stage of stages/; `local` is the one of the laptop cloud.")
    ] = "local",
    profile: Annotated[str | None, typer.Option(help="AWS CLI profile for a stage in AWS.")] = None,
    new_tokens: Annotated[int, typer.Option(help="Maximum number of tokens to generate.")] = 64,
) -> None:
    """Stream an answer from the endpoint.

    Example: make invoke ADAPTER=otter PROMPT='[INST] How many clips are 48 and 24? [/INST]'
    """
    client = _laptop_client() if stage == "local" else _aws_client(stage, profile)
    for token in client.stream(prompt, adapter=adapter or None, max_new_tokens=new_tokens):
        sys.stdout.write(token)
        sys.stdout.flush()
    sys.stdout.write("\n")


def _laptop_client() -> EndpointClient:
    from loraserve import local_stage
    from loraserve.client import EndpointClient, runtime_config
    from loraserve.errors import NotDeployed

    cloud = local_stage.running()
    if cloud is None:
        raise NotDeployed("no laptop cloud is running here: start it with 'make up', or name a --stage")
    outputs = local_stage.outputs(cloud)
    if "EndpointName" not in outputs:
        raise NotDeployed("the laptop cloud has no endpoint: deploy the Local stage with 'make up'")
    return EndpointClient(outputs["EndpointName"], cloud.client("sagemaker-runtime", runtime_config()))


def _aws_client(stage: str, profile: str | None) -> EndpointClient:
    from loraserve.aws import client_factory
    from loraserve.client import EndpointClient, runtime_config
    from stacks.config.loading import load_stages
    from stacks.project import ROOT

    [loaded] = load_stages(ROOT / "stages", stage)
    client = client_factory(loaded.config.region, profile)
    return EndpointClient(loaded.endpoint_name, client("sagemaker-runtime", runtime_config()))
