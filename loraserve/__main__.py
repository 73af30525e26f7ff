"""`python -m loraserve …`: what people run. The Makefile's targets call this."""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import Annotated

import boto3
import typer

from laptop_cloud.aws_isolation import aws_variables
from laptop_cloud.detached import down, running, up
from loraserve import local_stage
from loraserve.cdk import interactive
from loraserve.cli.adapters import app as adapters_app
from loraserve.cli.console import NotDeployed, console, errors, output, told_plainly
from loraserve.client import EndpointClient, runtime_config
from loraserve.demo.demo import demo
from loraserve.deploy import deploy
from loraserve.diff import diff
from loraserve.images.pin import document, look_up, table, write
from loraserve.local_stage import STATE, stack_progress, step
from stacks.config.base_images import LOCK, read_lock
from stacks.config.loading import load_stages
from stacks.project import ROOT

app = typer.Typer(
    help="Serve many LoRA adapters from one SageMaker endpoint.", no_args_is_help=True, add_completion=False
)
app.add_typer(adapters_app, name="adapters")

OUT = Path("out")
ASSEMBLY = ROOT / "cdk.out"
PIN_IMAGES = """Look up the digests of the engines' base images, and lock them.

A tag can be moved to another image, a digest cannot. container/images.lock has registry, name, tag and \
digest of each base image, and `cdk deploy` builds from what it says. This command asks each registry what \
the tag stands for, checks that the manifest has this digest and an image for SageMaker's instances, and \
writes it there.

Another release: edit the tag, there and in the engine's Dockerfile, run this again and commit both.

Example: make pin-images

Example: make pin-images ARGS=--check, in a nightly job, tells when a tag has been moved."""
Port = Annotated[int | None, typer.Option(help="Port of the laptop cloud; by default a free one.")]


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
        is_new = cloud is None
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
            # One that was running before goes on, and its endpoint serves what it served.
            if is_new:
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


@app.command(
    name="deploy",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def deploy_command(
    context: typer.Context, stage: Annotated[str, typer.Argument(help="A stage of stages/, e.g. dev.")]
) -> None:
    """Deploy a stage to AWS with your credentials; further arguments are for `cdk deploy`.

    It is `cdk deploy`, after a look at the endpoint that is there: where the instance type changes,
    autoscaling is taken away first and comes back with the deployment, and a single instance gets others
    beside it before an update in batches, because SageMaker refuses either change otherwise.

    Example: make deploy STAGE=prod ARGS='--require-approval broadening'
    """
    with told_plainly("CloudFormation goes on or rolls back by itself: see its events, or run this again"):
        [loaded] = load_stages(ROOT / "stages", stage)
        client = functools.partial(boto3.client, region_name=loaded.config.region)
        run = functools.partial(interactive, output=ASSEMBLY)
        deploy(console, stage, client, run, ASSEMBLY, context.args)


@app.command(name="diff")
def diff_command(
    base: Annotated[str, typer.Option(help="Git revision to compare with.")] = "HEAD",
    stage: Annotated[str | None, typer.Option(help="Only this stage.")] = None,
) -> None:
    """Show what the working tree would change in each stack, without credentials or network."""
    with told_plainly():
        diff(console, base, stage)


@app.command(name="pin-images", help=PIN_IMAGES)
def pin_images_command(
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit code 1 if the lock is not up to date.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON document on standard output, nothing else.")
    ] = False,
    lock: Annotated[Path, typer.Option(help="The lock file.", show_default="container/images.lock")] = LOCK,
) -> None:
    """See `PIN_IMAGES`."""
    with told_plainly(f"{lock} is as it was"):
        images = read_lock(lock)
        with errors.status("asking the registries …"):
            pins = [look_up(engine, image) for engine, image in images.items()]
        is_current = all(pin.change == "none" for pin in pins)
        if not (check or is_current):
            write(pins, lock)
        if as_json:
            typer.echo(document(pins, lock))
        else:
            output().print(table(pins))
        if check and not is_current:
            errors.print(f"[red]✗[/] {lock} is not what the registries say: run make pin-images")
            raise typer.Exit(1)
        if not as_json:
            errors.print(
                "[green]✓[/] " + (f"{lock} is up to date" if is_current else f"{lock} is written: commit it")
            )


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
