"""SageMaker's control plane: models, endpoint configurations and endpoints of one account."""

from __future__ import annotations

from collections.abc import Callable

from laptop_cloud.api.account import Account
from laptop_cloud.api.records import Records, now, summaries
from laptop_cloud.api.service import Params, Service, invalid, refuse_others
from laptop_cloud.api.tags import Tags
from laptop_cloud.containers.launcher import FleetLauncherFactory, primary_container
from laptop_cloud.containers.model_data import check_source
from laptop_cloud.registry.model_image import check_image
from laptop_cloud.sagemaker.descriptions import described
from laptop_cloud.sagemaker.endpoint import Endpoint
from laptop_cloud.sagemaker.prefix_routing import check_routing
from laptop_cloud.sagemaker.retained_capacity import retain_capacity, wanted_capacity
from laptop_cloud.sagemaker.rollback_alarms import AlarmStates
from laptop_cloud.sagemaker.update_policy import check_deployment


class SageMaker(Service):
    """The operations on models, endpoint configurations and endpoints. Not safe across threads."""

    def __init__(
        self,
        account: Account,
        launcher_of: FleetLauncherFactory,
        scaled_variants: Callable[[str], set[str]],
        alarm_states: AlarmStates,
    ) -> None:
        """Take the services that this one uses as functions.

        Args:
            account: the account and region of its resources.
            launcher_of: returns what makes the instances of an endpoint's fleet.
            scaled_variants: returns the variants of an endpoint that are registered with Application Auto
                Scaling.
            alarm_states: returns the states of CloudWatch alarms.
        """
        self._account = account
        self._launcher_of = launcher_of
        self._alarm_states = alarm_states
        self._scaled_variants = scaled_variants
        self._tags = Tags()
        self._models: Records[Params] = Records("model", self._arn_maker("model"))
        self._configs: Records[Params] = Records("endpoint configuration", self._arn_maker("endpoint-config"))
        self.endpoints: Records[Endpoint] = Records("endpoint", self._arn_maker("endpoint"))
        super().__init__(
            "sagemaker",
            {
                "CreateModel": self._create_model,
                "DescribeModel": lambda p: self._models.get(p["ModelName"]),
                "ListModels": self._list_models,
                "DeleteModel": lambda p: self._tags.remove(self._models.remove(p["ModelName"])["ModelArn"]),
                "CreateEndpointConfig": self._create_config,
                "DescribeEndpointConfig": lambda p: self._configs.get(p["EndpointConfigName"]),
                "ListEndpointConfigs": self._list_configs,
                "DeleteEndpointConfig": self._delete_config,
                "CreateEndpoint": self._create_endpoint,
                "DescribeEndpoint": lambda p: described(self.endpoints.get(p["EndpointName"])),
                "ListEndpoints": self._list_endpoints,
                "UpdateEndpoint": self._update_endpoint,
                "UpdateEndpointWeightsAndCapacities": self._scale_endpoint,
                "DeleteEndpoint": self._delete_endpoint,
                "AddTags": self._tags.add,
                "ListTags": self._tags.list,
                "DeleteTags": self._tags.delete,
            },
        )

    def _arn_maker(self, kind: str) -> Callable[[str], str]:
        return lambda name: self._account.arn("sagemaker", f"{kind}/{name}")

    def _create_model(self, params: Params) -> Params:
        name = params["ModelName"]
        self._models.check_free(name)
        if ("PrimaryContainer" in params) + len(params.get("Containers", [])) != 1:
            raise invalid(f"the laptop cloud runs models of one container: give {name} one PrimaryContainer")
        container = primary_container(params)
        if "Image" not in container:
            raise invalid(
                "Value null at 'PrimaryContainer.Image' failed to satisfy constraint: Member must not be null"
            )
        if params.get("EnableNetworkIsolation"):
            raise invalid(
                "the laptop cloud does not emulate EnableNetworkIsolation, with which a container has no "
                f"network and no credentials: leave it out of {name}"
            )
        check_source(container)
        check_image(container["Image"], self._account)
        arn = self._arn_maker("model")(name)
        self._tags.start(arn, params.pop("Tags", []))
        record = {"EnableNetworkIsolation": False, **params, "ModelArn": arn, "CreationTime": now()}
        self._models.add(name, record)
        return {"ModelArn": arn}

    def _create_config(self, params: Params) -> Params:
        name = params["EndpointConfigName"]
        self._configs.check_free(name)
        if len(params["ProductionVariants"]) > 1 or "ShadowProductionVariants" in params:
            names = [v["VariantName"] for v in _all_variants(params)]
            raise invalid(
                f"the laptop cloud does not emulate several variants of an endpoint: {name} has "
                f"{', '.join(names)}; give it one in ProductionVariants and no ShadowProductionVariants"
            )
        [variant] = params["ProductionVariants"]
        if "ModelName" not in variant or "ServerlessConfig" in variant:
            raise invalid(
                f"variant {variant['VariantName']} needs a ModelName and no ServerlessConfig: the laptop "
                "cloud runs models on instances"
            )
        check_routing(variant)
        self._models.get(variant["ModelName"])
        arn = self._arn_maker("endpoint-config")(name)
        self._tags.start(arn, params.pop("Tags", []))
        record = {**params, "EndpointConfigArn": arn, "CreationTime": now()}
        self._configs.add(name, record)
        return {"EndpointConfigArn": arn}

    def _delete_config(self, params: Params) -> Params:
        return self._tags.remove(self._configs.remove(params["EndpointConfigName"])["EndpointConfigArn"])

    def _create_endpoint(self, params: Params) -> Params:
        name = params["EndpointName"]
        self.endpoints.check_free(name)
        config, model = self._resolved(params["EndpointConfigName"])
        arn = self._arn_maker("endpoint")(name)
        endpoint = Endpoint(name, arn, config, model, self._launcher_of, self._alarm_states)
        endpoint.deployment = params.get("DeploymentConfig", {})
        check_deployment(endpoint.deployment, endpoint.fleet.count)
        self._tags.start(arn, params.pop("Tags", []))
        self.endpoints.add(name, endpoint)
        endpoint.create()
        return {"EndpointArn": arn}

    def _resolved(self, config_name: str) -> tuple[Params, Params]:
        """Return a configuration and its model. The endpoint keeps both, even if they are deleted."""
        config = self._configs.get(config_name)
        return config, self._models.get(config["ProductionVariants"][0]["ModelName"])

    def _update_endpoint(self, params: Params) -> Params:
        endpoint = self.endpoints.get(params["EndpointName"])
        endpoint.check_updatable()
        config, model = self._resolved(params["EndpointConfigName"])
        self._check_scaled_variant(endpoint, config)
        deployment = params.get("DeploymentConfig", {})
        if params.get("RetainDeploymentConfig"):
            deployment = endpoint.deployment
        new = endpoint.fleet_of(config, model)
        retain_capacity(params, endpoint.fleet, new)
        check_deployment(deployment, new.count)
        endpoint.deployment = deployment
        endpoint.update(new)
        return {"EndpointArn": endpoint.arn}

    def _scale_endpoint(self, params: Params) -> Params:
        endpoint = self.endpoints.get(params["EndpointName"])
        endpoint.scale(*wanted_capacity(params, endpoint.fleet))
        return {"EndpointArn": endpoint.arn}

    def _check_scaled_variant(self, endpoint: Endpoint, config: Params) -> None:
        """Raise `ServiceError` if `config` changes the instance type of a scaled variant."""
        [variant] = config["ProductionVariants"]
        old = endpoint.fleet.variant.get("InstanceType")
        for scaled in sorted(self._scaled_variants(endpoint.name)):
            new = variant.get("InstanceType") if scaled == variant["VariantName"] else None
            if new != old:
                raise invalid(
                    f"The variant {scaled} of {endpoint.name} is registered with Application Auto Scaling, "
                    f"so its instance type cannot change from {old} to "
                    f"{new or 'none (the variant is removed)'}: first deregister its scalable "
                    "target (deploy without autoscaling), then update the endpoint, then register it again"
                )

    def _delete_endpoint(self, params: Params) -> Params:
        endpoint = self.endpoints.get(params["EndpointName"])
        endpoint.delete(lambda: self._tags.remove(self.endpoints.remove(endpoint.name).arn))
        return {}

    def _list_models(self, params: Params) -> Params:
        refuse_others("ListModels", params)
        return {"Models": summaries(self._models.all(), "ModelName", "ModelArn", "CreationTime")}

    def _list_configs(self, params: Params) -> Params:
        refuse_others("ListEndpointConfigs", params)
        members = ("EndpointConfigName", "EndpointConfigArn", "CreationTime")
        return {"EndpointConfigs": summaries(self._configs.all(), *members)}

    def _list_endpoints(self, params: Params) -> Params:
        refuse_others("ListEndpoints", params)
        members = ("EndpointName", "EndpointArn", "CreationTime", "LastModifiedTime", "EndpointStatus")
        return {"Endpoints": summaries([described(e) for e in self.endpoints.all()], *members)}


def _all_variants(config: Params) -> list[Params]:
    return [*config["ProductionVariants"], *config.get("ShadowProductionVariants", [])]
