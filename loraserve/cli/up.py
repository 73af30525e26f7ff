"""The command `up`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from loraserve.cli.console import console
from loraserve.cli.options import Port


class Images(StrEnum):
    """Program of the Local stage's containers."""

    PROCESS = "process"
    """A process of this working tree."""
    REAL = "real"
    """The image: built, pushed to the laptop cloud, pulled and run."""


_SAYS = {
    Images.PROCESS: "The container is a process of this working tree; IMAGES=real builds and runs its image.",
    Images.REAL: "The container runs its image, built on a stand-in of the base image (docs/images.md).",
}


def command(
    port: Port = None,
    images: Annotated[
        Images, typer.Option(help="process: containers are processes; real: the image is built and run.")
    ] = Images.PROCESS,
) -> None:
    """Deploy the Local stage to a laptop cloud that keeps running.

    The environment variables for AWS clients are printed. If the laptop cloud runs already, the stage is
    deployed into it again.

    By default a container is a process of this working tree. With --images real the CDK CLI builds the image
    from its Dockerfile and pushes it, and the laptop cloud pulls it and runs it as SageMaker does. That needs
    Linux on x86-64, root, buildah, bubblewrap and debootstrap. docs/images.md has more.

    Example: make up

    Example: make up IMAGES=real
    """
    from loraserve import local_stage
    from loraserve.local_stage import STATE
    from loraserve.progress import stack_progress, step

    real = images is Images.REAL
    local_stage.check(real_images=real)
    console.print(_SAYS[images], soft_wrap=True)
    cloud = local_stage.running(real_images=real)
    is_new = cloud is None
    if cloud is None:
        with step(console, "laptop cloud"):
            cloud = local_stage.start(port, real_images=real)
        with step(console, "cdk bootstrap"):
            local_stage.bootstrap(cloud, STATE / "cdk.out")
    try:
        with stack_progress(console, "cdk deploy") as on_event:
            local_stage.deploy(cloud, STATE / "cdk.out", on_event, real_images=real)
        outputs = local_stage.outputs(cloud)
    except BaseException:
        # A laptop cloud that was running before keeps running, and its endpoint serves what it served.
        if is_new:
            local_stage.stop()
        raise
    console.print("\nThe laptop cloud is running. For any AWS client, in this shell:\n")
    console.print("  unset AWS_PROFILE AWS_SESSION_TOKEN")
    variables = {
        **local_stage.client_variables(cloud),
        "ENDPOINT": outputs["EndpointName"],
        "BUCKET": outputs["AdapterBucket"],
    }
    for name, value in variables.items():
        console.print(f"  export {name}={value}", highlight=False, soft_wrap=True)
    console.print("\nTry: make invoke ADAPTER=otter PROMPT='…' · make load-test · make down stops it.")
