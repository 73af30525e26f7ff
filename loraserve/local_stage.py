"""The Local stage in a laptop cloud: bootstrap, deploy, destroy, and what was deployed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from laptop_cloud.cloud import Cloud
from loraserve.cdk import OnEvent, cdk
from stacks.config.loading import load_stage
from stacks.project import ROOT

STAGE = "Local"
#: Where `up` keeps the laptop cloud that goes on running, below the current directory.
STATE = Path(".laptop")
STACKS = "LoraServing-Local-"
SERVING_STACK = f"{STACKS}Serving"
STORE_STACK = f"{STACKS}AdapterStore"


@contextmanager
def stack_progress(console: Console, title: str) -> Iterator[OnEvent]:
    """A bar for each stack that CloudFormation works on."""
    with step(console, title) as progress:
        tasks: dict[str, TaskID] = {}

        def on_event(stack: str, done: int, total: int, resource_type: str) -> None:
            if stack not in tasks:
                tasks[stack] = progress.add_task(stack, total=None)
            short = resource_type.removeprefix("AWS::")
            progress.update(
                tasks[stack], completed=done, total=total or None, description=f"  {stack}: {short}"
            )

        yield on_event


@contextmanager
def step(console: Console, title: str) -> Iterator[Progress]:
    """A named step with its running time; more bars can be added to what it yields."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(title, total=None)
        yield progress
        seconds = progress.tasks[task].elapsed or 0.0
    console.print(f"[green]✓[/] {title} [dim]{seconds:.1f} s[/]")


def check() -> None:
    """Read the stage before anything is started; raises `stacks.config.stage_config.ConfigError`."""
    load_stage(ROOT / "stages" / "local.yaml")


def bootstrap(cloud: Cloud, output: Path) -> None:
    """`cdk bootstrap`, as for a real account."""
    account, region = cloud.environment["AWS_ACCESS_KEY_ID"], cloud.environment["AWS_REGION"]
    cdk(
        "bootstrap",
        f"aws://{account}/{region}",
        "--context",
        "stage=local",
        environment=cloud.environment,
        output=output,
    )


def deploy(cloud: Cloud, output: Path, on_event: OnEvent) -> None:
    """`cdk deploy` of the stage's stacks."""
    cdk(
        "deploy",
        f"{STAGE}/*",
        "--context",
        "stage=local",
        "--require-approval",
        "never",
        "--progress",
        "events",
        environment=cloud.environment,
        output=output,
        on_event=on_event,
    )


def destroy(cloud: Cloud, output: Path, on_event: OnEvent) -> None:
    """`cdk destroy` of the stage's stacks, bucket and contents included."""
    cdk(
        "destroy",
        f"{STAGE}/*",
        "--context",
        "stage=local",
        "--force",
        environment=cloud.environment,
        output=output,
        on_event=on_event,
    )


def outputs(cloud: Cloud) -> dict[str, str]:
    """The outputs of all its stacks, e.g. EndpointName and AdapterBucket; empty if not deployed."""
    stacks = cloud.client("cloudformation").describe_stacks()["Stacks"]
    return {
        output["OutputKey"]: output["OutputValue"]
        for stack in stacks
        if stack["StackName"].startswith(STACKS)
        for output in stack.get("Outputs", [])
    }
