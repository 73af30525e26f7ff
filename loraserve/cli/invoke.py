"""The command `invoke`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer


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
    from loraserve.client import EndpointClient
    from loraserve.runtime_access import endpoint_access
    from stacks.config.loading import load_stages
    from stacks.project import ROOT

    load_stages(ROOT / "stages", stage)  # a name that is no stage is a mistake here, not an endpoint's name
    access = endpoint_access(stage, profile=profile)
    client = EndpointClient(access.endpoint, access.runtime, adapter_affine=access.adapter_affine)
    for token in client.stream(prompt, adapter=adapter or None, max_new_tokens=new_tokens):
        sys.stdout.write(token)
        sys.stdout.flush()
    sys.stdout.write("\n")
