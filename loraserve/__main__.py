"""`python -m loraserve …`: what people run. The Makefile's targets call this."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import boto3
import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.markup import escape

from loraserve import local_stage
from loraserve.cdk import CdkError
from loraserve.client import EndpointClient, InvocationError, runtime_config
from loraserve.demo import DemoFailed, demo
from loraserve.diff import DiffError, diff
from loraserve.local.detached import down, running, up
from loraserve.local.environment import NotLoopback, aws_variables
from loraserve.local.process import CloudFailed
from loraserve.local.server import PortTaken
from loraserve.local_stage import stack_progress, step
from stacks.config import ConfigError


class NotDeployed(Exception):
    """There is no endpoint to invoke; the message says how to get one."""


app = typer.Typer(
    help="Serve many LoRA adapters from one SageMaker endpoint.", no_args_is_help=True, add_completion=False
)
console = Console()
errors = Console(stderr=True, soft_wrap=True)

OUT = Path("out")
STATE = Path(".laptop")
Port = Annotated[int | None, typer.Option(help="Port of the laptop cloud; by default a free one.")]


_TOLD = (
    CdkError, CloudFailed, DemoFailed, DiffError, InvocationError, NotDeployed, NotLoopback, PortTaken
)  # fmt: skip


@contextmanager
def told_plainly() -> Iterator[None]:
    """Errors of a kind that the user can act on are one message, never a stack trace.

    Exit code 2 for a stage or manifest that cannot be used, 1 for all else.
    """
    try:
        yield
    except ConfigError as error:
        errors.print(f"[red]✗[/] {escape(str(error))}")
        raise typer.Exit(2) from error
    except _TOLD as error:
        errors.print(f"[red]✗[/] {escape(str(error))}")
        raise typer.Exit(1) from error
    except (BotoCoreError, ClientError) as error:
        errors.print(f"[red]✗[/] the cloud did not answer as it should: {escape(str(error))}")
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        errors.print("interrupted; everything this command started is stopped")
        raise typer.Exit(130) from None


@app.command(name="demo")
def demo_command(
    port: Port = None, out: Annotated[Path, typer.Option(help="Where results go.")] = OUT
) -> None:
    """Deploy one endpoint with 50 adapters on this laptop, invoke, benchmark, tear down."""
    with told_plainly():
        demo(console, out, port)


@app.command(name="up")
def up_command(port: Port = None) -> None:
    """Start the laptop cloud, deploy the Local stage into it and keep it running."""
    with told_plainly():
        local_stage.check()
        cloud = running(STATE)
        if cloud is None:
            with step(console, "laptop cloud"):
                cloud = up(STATE, port=port)
            with step(console, "cdk bootstrap"):
                local_stage.bootstrap(cloud, STATE / "cdk.out")
        try:
            with stack_progress(console, "cdk deploy") as on_event:
                local_stage.deploy(cloud, STATE / "cdk.out", on_event)
            found = local_stage.outputs(cloud)
        except BaseException:
            down(STATE)
            raise
        console.print("\nThe laptop cloud is running. For any AWS client, in this shell:\n")
        console.print("  unset AWS_PROFILE AWS_SESSION_TOKEN")
        variables = {
            **aws_variables(cloud.url),
            "ENDPOINT": found["EndpointName"],
            "BUCKET": found["AdapterBucket"],
        }
        for name, value in variables.items():
            console.print(f"  export {name}={value}", highlight=False, soft_wrap=True)
        console.print("\nTry: make invoke ADAPTER=otter PROMPT='…'   ·   make down ends it.")


@app.command(name="down")
def down_command() -> None:
    """Stop the laptop cloud that `up` started, with everything in it."""
    with told_plainly():
        found = running(STATE)
        down(STATE)
        console.print("stopped" if found else "no laptop cloud is running here")


@app.command()
def invoke(
    prompt: Annotated[str, typer.Argument(help="For Mistral-style models: '[INST] … [/INST]'.")],
    adapter: Annotated[
        str | None, typer.Option(help="Name, or name@revision; without it, the base model.")
    ] = None,
    endpoint: Annotated[
        str | None, typer.Option(help="Endpoint in AWS; without it, the laptop cloud's.")
    ] = None,
    new_tokens: Annotated[int, typer.Option(help="The most tokens to generate.")] = 64,
) -> None:
    """Stream an answer from the endpoint."""
    with told_plainly():
        client = _laptop_client() if endpoint is None else _aws_client(endpoint)
        for token in client.stream(prompt, adapter=adapter or None, max_new_tokens=new_tokens):
            sys.stdout.write(token)
            sys.stdout.flush()
        sys.stdout.write("\n")


@app.command(name="diff")
def diff_command(
    base: Annotated[str, typer.Option(help="Git revision to compare with.")] = "HEAD",
    stage: Annotated[str | None, typer.Option(help="Only this stage.")] = None,
) -> None:
    """Show what the working tree would change in each stack, without credentials or network."""
    with told_plainly():
        diff(console, base, stage)


def _laptop_client() -> EndpointClient:
    cloud = running(STATE)
    if cloud is None:
        raise NotDeployed("no laptop cloud is running here: start it with 'make up', or name an --endpoint")
    found = local_stage.outputs(cloud)
    if "EndpointName" not in found:
        raise NotDeployed("the laptop cloud has no endpoint: deploy the Local stage with 'make up'")
    return EndpointClient(found["EndpointName"], cloud.client("sagemaker-runtime", runtime_config()))


def _aws_client(endpoint: str) -> EndpointClient:
    return EndpointClient(endpoint, boto3.client("sagemaker-runtime", config=runtime_config()))


if __name__ == "__main__":
    app()
