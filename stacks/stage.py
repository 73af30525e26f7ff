"""One stage of the app: its stacks, in the order of their dependencies."""

from __future__ import annotations

import aws_cdk as cdk
from constructs import Construct

from stacks.config.checks import warnings
from stacks.config.derived import cost_line, quota_line, scaling_line
from stacks.config.stage_config import LoadedStage
from stacks.config.stage_target import STACK_PREFIX, STAGE_TAG
from stacks.facts import StageFacts
from stacks.guards import Guards
from stacks.stage_facts import SynthesizedValues, stage_facts
from stacks.stage_stacks import (
    create_adapter_store,
    create_network,
    create_observability,
    create_scaling,
    create_serving,
)

#: Type of a warning in the metadata of an assembly (`ArtifactMetadataEntryType.WARN` of aws-cdk-lib).
WARNING = "aws:cdk:warning"


class ServingStage(cdk.Stage):
    """The stacks of one stage: adapter store, network, observability, serving, scaling."""

    def __init__(self, scope: Construct, construct_id: str, *, stage: LoadedStage) -> None:
        """Create the stacks of a loaded stage."""
        config, boundary = stage.config, stage.config.security.permissions_boundary
        super().__init__(
            scope,
            construct_id,
            env=cdk.Environment(account=config.account, region=config.region),
            stage_name=f"{STACK_PREFIX}{construct_id}",
            permissions_boundary=None if boundary is None else cdk.PermissionsBoundary.from_name(boundary),
        )
        cdk.Validations.of(self).add_plugins(Guards())
        for key, value in {STAGE_TAG: stage.name, **config.tags}.items():
            cdk.Tags.of(self).add(key, value)

        endpoint_name = stage.endpoint_name
        store = create_adapter_store(self, stage)
        network = create_network(self, config, endpoint_name=endpoint_name, store=store)
        observability = create_observability(self, stage, endpoint_name=endpoint_name, store=store)
        serving = create_serving(
            self, stage, store=store, network=network, rollback_alarms=observability.rollback_alarm_names
        )
        scaling = create_scaling(self, stage, endpoint_name=endpoint_name)

        # SageMaker needs a mounted model in the bucket when it creates the endpoint, and the alarms that roll
        # back an update when it starts the update.
        observability.add_stack_dependency(store)
        for before in (network, observability):
            if before is not None:
                serving.add_stack_dependency(before)
        scaling.add_stack_dependency(serving)

        # Scaling too, although it has no state: `cdk destroy` deletes it first, which would leave a
        # protected endpoint without autoscaling.
        for stack in (store, network, observability, serving, scaling):
            if stack is not None:
                stack.termination_protection = config.termination_protection
        for name, sentence in warnings(stage):
            cdk.Annotations.of(serving).add_warning_v2(f"lora-serving:{name}", sentence)
        self.cost = cost_line(stage, alarms=len(observability.alarm_names))
        """Monthly cost, in a line; also an output of the serving stack."""
        self.quota = quota_line(config)
        """Instance quota that an update needs, in a line."""
        self.scaling = scaling_line(stage)
        """Target of autoscaling, in a line."""
        cdk.CfnOutput(serving, "MonthlyCost", value=self.cost)
        cdk.CfnOutput(serving, "InstanceQuota", value=self.quota)
        self._stage = stage
        self._values = SynthesizedValues(
            image_asset=serving.image_asset,
            model_revision=store.model_revision,
            adapters=store.packed_adapters,
            alarms=len(observability.alarm_names),
            rollback_alarms=observability.rollback_alarm_names if config.rollout.rollback_on_alarms else (),
        )

    def facts(self) -> StageFacts:
        """Collect the stage's facts, with the warnings of its synth."""
        warnings = [
            str(warning.data).partition(" [ack: ")[0]  # CDK's id for its acknowledgement
            for stack in self.synth().stacks
            for warning in stack.find_metadata_by_type(WARNING)
        ]
        return stage_facts(self._stage, self._values, warnings=warnings)
