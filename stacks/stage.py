"""One stage of the app: its stacks, in the order in which they need each other."""

from __future__ import annotations

import aws_cdk as cdk
from constructs import Construct

from stacks import stage_stacks as make
from stacks.config.checks import warnings
from stacks.config.derived import cost_line, quota_line
from stacks.config.stage_config import LoadedStage
from stacks.guards import Guards


class ServingStage(cdk.Stage):
    """Everything of one stage: adapter store, network, alarms, endpoint, autoscaling."""

    def __init__(self, scope: Construct, construct_id: str, *, stage: LoadedStage) -> None:
        """`stage` is what `stacks.config.stage_config.load_stage` returned."""
        config, boundary = stage.config, stage.config.security.permissions_boundary
        super().__init__(
            scope,
            construct_id,
            env=cdk.Environment(account=config.account, region=config.region),
            stage_name=f"LoraServing-{construct_id}",
            permissions_boundary=None if boundary is None else cdk.PermissionsBoundary.from_name(boundary),
        )
        cdk.Validations.of(self).add_plugins(Guards())
        for key, value in {"lora-serving:stage": stage.name, **config.tags}.items():
            cdk.Tags.of(self).add(key, value)

        # The model, which is made before the endpoint, must know its name, as must the alarms.
        endpoint_name = f"{self.stage_name}-Serving"
        store = make.adapter_store(self, stage)
        network = make.network(self, config, endpoint_name=endpoint_name, store=store)
        observability = make.observability(self, stage, endpoint_name=endpoint_name, store=store)
        serving = make.serving(
            self, stage, store=store, network=network, rollback_alarms=observability.rollback_alarm_names
        )
        scaling = make.scaling(self, config, endpoint_name=endpoint_name)

        # A mounted model must lie in the bucket before SageMaker looks for it, and the alarms that take an
        # update of the endpoint back must be there before it is updated.
        observability.add_stack_dependency(store)
        for before in (network, observability):
            if before is not None:
                serving.add_stack_dependency(before)
        scaling.add_stack_dependency(serving)

        # The last one, too, though it has no state: `cdk destroy` takes it away first, and the endpoint would
        # go on without autoscaling when the next one is refused.
        for stack in (store, network, observability, serving, scaling):
            if stack is not None:
                stack.termination_protection = config.termination_protection
        for name, sentence in warnings(stage):
            cdk.Annotations.of(serving).add_warning_v2(f"lora-serving:{name}", sentence)
        self.cost = cost_line(stage, alarms=len(observability.alarm_names))
        """What it costs a month, in a line; an output of the endpoint's stack, too."""
        self.quota = quota_line(config)
        """What an update needs of the account's quota."""
        cdk.CfnOutput(serving, "MonthlyCost", value=self.cost)
        cdk.CfnOutput(serving, "InstanceQuota", value=self.quota)
