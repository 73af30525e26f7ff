"""The Local stage and its laptop cloud: start, bootstrap, deploy, outputs, destroy, stop.

The only module of `loraserve` that imports `laptop_cloud`; pyproject.toml has the import contract. Errors of
the laptop cloud become `LaptopCloudError`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from laptop_cloud import detached
from laptop_cloud.aws_isolation import NotLoopback, aws_variables
from laptop_cloud.cloud import Cloud, LaptopCloud
from laptop_cloud.containers.addresses import container_urls
from laptop_cloud.options import ServerOptions
from laptop_cloud.ports import PortTaken
from laptop_cloud.process import CloudFailed
from loraserve.bootstrap import bootstrap_command
from loraserve.cdk import OnEvent, cdk
from loraserve.errors import UserError
from loraserve.images import laptop as images
from stacks.config.loading import LOCAL_STAGE, load_stage
from stacks.project import ROOT

STAGE = LOCAL_STAGE.capitalize()
#: The directory of the laptop cloud that `up` starts, relative to the current directory.
STATE = Path(".laptop")
STACKS = "LoraServing-Local-"
SERVING_STACK = f"{STACKS}Serving"
#: The value of a stage's `image` with which the CDK CLI builds it.
_BUILT = "asset"
STORE_STACK = f"{STACKS}AdapterStore"


class LaptopCloudError(UserError):
    """The laptop cloud cannot be started or used; the message is its own."""


@contextmanager
def temporary(state: Path, port: int | None) -> Iterator[Cloud]:
    """Run a laptop cloud for the length of the block; it ends with this process at the latest.

    Its files are written to `state`. Without a `port`, a free one is used. Raises `LaptopCloudError`.
    """
    with _translated_errors(), LaptopCloud(state, port=port) as cloud:
        yield cloud


def start(port: int | None, *, real_images: bool = False) -> Cloud:
    """Start the laptop cloud of `STATE`, which runs until `stop`; raises `LaptopCloudError`.

    With `real_images` it runs the images that are deployed, too.
    """
    options = ServerOptions(pull_images=real_images, mounts=images.engine_mounts() if real_images else {})
    with _translated_errors():
        return detached.up(STATE, port=port, options=options)


def running(*, real_images: bool = False) -> Cloud | None:
    """Return the laptop cloud of `STATE` if it is running.

    Raises `LaptopCloudError` if it does not run images and `real_images` are wanted.
    """
    found = detached.running(STATE)
    if found is not None and real_images and not detached.pulls_images(STATE):
        raise LaptopCloudError(
            "the laptop cloud that is running does not run images: stop it with make down, then run this "
            "command again"
        )
    return found


def stop() -> None:
    """Stop the laptop cloud of `STATE` and every process that it started, if it is running."""
    detached.down(STATE)


def client_variables(cloud: Cloud) -> dict[str, str]:
    """Return the environment variables that an AWS client needs to reach this laptop cloud."""
    with _translated_errors():
        return aws_variables(cloud.url)


def containers(cloud: Cloud) -> tuple[str, ...]:
    """Return the URLs of the endpoint's containers, as far as they are processes of this machine."""
    return container_urls(cloud.state)


def check(*, real_images: bool = False) -> None:
    """Read the stage, and with `real_images` check the machine, before anything is started.

    Raises `stacks.typed_yaml.ConfigError` and `loraserve.images.laptop.ImagesUnavailable`.
    """
    load_stage(ROOT / "stages" / "local.yaml", image=_BUILT if real_images else None)
    if real_images:
        images.check_machine()


def bootstrap(cloud: Cloud, output: Path) -> None:
    """Run `cdk bootstrap`, as for a real account."""
    account, region = cloud.environment["AWS_ACCESS_KEY_ID"], cloud.environment["AWS_REGION"]
    cdk(*bootstrap_command(account, region, LOCAL_STAGE), environment=cloud.environment, output=output)


def deploy(cloud: Cloud, output: Path, on_event: OnEvent, *, real_images: bool = False) -> None:
    """Run `cdk deploy` for the stage's stacks. With `real_images` it builds the image and pushes it."""
    environment, context = cloud.environment, ["--context", "stage=local"]
    with ExitStack() as stack:
        if real_images:
            context += ["--context", f"local_image={_BUILT}"]
            registry = cloud.url.removeprefix("http://")
            environment = stack.enter_context(images.cdk_environment(environment, registry))
        cdk(
            "deploy",
            f"{STAGE}/*",
            *context,
            "--require-approval",
            "never",
            "--progress",
            "events",
            environment=environment,
            output=output,
            on_event=on_event,
        )


def destroy(cloud: Cloud, output: Path, on_event: OnEvent) -> None:
    """Run `cdk destroy` for the stacks of the assembly in `output`; it deletes the bucket's objects, too."""
    cdk(
        "destroy",
        f"{STAGE}/*",
        "--app",
        str(output),
        "--force",
        environment=cloud.environment,
        output=output,
        on_event=on_event,
    )


def outputs(cloud: Cloud) -> dict[str, str]:
    """Return the outputs of all stacks, e.g. EndpointName and AdapterBucket; empty if not deployed."""
    stacks = cloud.client("cloudformation").describe_stacks()["Stacks"]
    return {
        output["OutputKey"]: output["OutputValue"]
        for stack in stacks
        if stack["StackName"].startswith(STACKS)
        for output in stack.get("Outputs", [])
    }


@contextmanager
def _translated_errors() -> Iterator[None]:
    try:
        yield
    except (CloudFailed, NotLoopback, PortTaken) as error:
        raise LaptopCloudError(str(error)) from error
