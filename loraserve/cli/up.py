"""The command `up`."""

from __future__ import annotations

from loraserve.cli.console import console
from loraserve.cli.options import Port


def command(port: Port = None) -> None:
    """Deploy the Local stage to a laptop cloud that keeps running.

    The environment variables for AWS clients are printed. If the laptop cloud runs already, the stage is
    deployed into it again.

    Example: make up
    """
    from loraserve import local_stage
    from loraserve.local_stage import STATE
    from loraserve.progress import stack_progress, step

    local_stage.check()
    cloud = local_stage.running()
    is_new = cloud is None
    if cloud is None:
        with step(console, "laptop cloud"):
            cloud = local_stage.start(port)
        with step(console, "cdk bootstrap"):
            local_stage.bootstrap(cloud, STATE / "cdk.out")
    try:
        with stack_progress(console, "cdk deploy") as on_event:
            local_stage.deploy(cloud, STATE / "cdk.out", on_event)
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
    console.print("\nTry: make invoke ADAPTER=otter PROMPT='…'   ·   make down stops it.")
