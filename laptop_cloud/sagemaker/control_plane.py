"""SageMaker's control plane: models, endpoint configurations and endpoints of one place."""

from __future__ import annotations

from collections.abc import Callable

from laptop_cloud.api.account import Place
from laptop_cloud.api.records import Records, now, page
from laptop_cloud.api.service import Params, Service, invalid
from laptop_cloud.api.tags import Tags
from laptop_cloud.containers.model_data import check_source
from laptop_cloud.sagemaker.descriptions import described
from laptop_cloud.sagemaker.endpoint import Endpoint, MakeInstance, primary_container
from laptop_cloud.sagemaker.retained_capacity import retain_sizes, retained_config, wanted_sizes
from laptop_cloud.sagemaker.rollback_alarms import AlarmStates
from laptop_cloud.sagemaker.update_policy import check_deployment


class SageMaker(Service):
    """The operations on models, endpoint configurations and endpoints. Not safe across threads."""

    def __init__(
        self,
        place: Place,
        make_instance: MakeInstance,
        scaled_variants: Callable[[str], set[str]],
        alarm_states: AlarmStates,
    ) -> None:
        """The services that it leans on are given as functions.

        Args:
            place: the account and region of its resources.
            make_instance: makes the endpoints' instances.
            scaled_variants: says which variants of an endpoint Application Auto Scaling manages.
            alarm_states: says the states of CloudWatch alarms.
        """
        self._place = place
        self._make_instance = make_instance
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
                "DeleteModel": lambda p: self._tags.forget(self._models.remove(p["ModelName"])["ModelArn"]),
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
        return lambda name: self._place.arn("sagemaker", f"{kind}/{name}")

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
        check_source(container)
        arn = self._arn_maker("model")(name)
        self._tags.start(arn, params.pop("Tags", []))
        record = {"EnableNetworkIsolation": False, **params, "ModelArn": arn, "CreationTime": now()}
        self._models.add(name, record)
        return {"ModelArn": arn}

    def _list_models(self, params: Params) -> Params:
        keys = ("ModelName", "ModelArn", "CreationTime")
        return page([{k: m[k] for k in keys} for m in self._models.all()], params, "ModelName", "Models")

    def _create_config(self, params: Params) -> Params:
        name = params["EndpointConfigName"]
        self._configs.check_free(name)
        variants = [variant["VariantName"] for variant in params["ProductionVariants"]]
        if len(set(variants)) < len(variants):
            raise invalid(f"Duplicate variant names in ProductionVariants: {', '.join(variants)}")
        for variant in params["ProductionVariants"]:
            if "ModelName" not in variant or "ServerlessConfig" in variant:
                raise invalid(
                    f"variant {variant['VariantName']} needs a ModelName and no ServerlessConfig: the laptop "
                    "cloud runs models on instances"
                )
            self._models.get(variant["ModelName"])
        arn = self._arn_maker("endpoint-config")(name)
        self._tags.start(arn, params.pop("Tags", []))
        record = {**params, "EndpointConfigArn": arn, "CreationTime": now()}
        self._configs.add(name, record)
        return {"EndpointConfigArn": arn}

    def _list_configs(self, params: Params) -> Params:
        keys = ("EndpointConfigName", "EndpointConfigArn", "CreationTime")
        summaries = [{k: c[k] for k in keys} for c in self._configs.all()]
        return page(summaries, params, "EndpointConfigName", "EndpointConfigs")

    def _delete_config(self, params: Params) -> Params:
        return self._tags.forget(self._configs.remove(params["EndpointConfigName"])["EndpointConfigArn"])

    def _create_endpoint(self, params: Params) -> Params:
        name = params["EndpointName"]
        self.endpoints.check_free(name)
        config, models = self._resolved(params["EndpointConfigName"])
        arn = self._arn_maker("endpoint")(name)
        endpoint = Endpoint(name, arn, config, models, self._make_instance, self._alarm_states)
        endpoint.deployment = params.get("DeploymentConfig", {})
        check_deployment(endpoint.deployment, endpoint.fleet.counts)
        self._tags.start(arn, params.pop("Tags", []))
        self.endpoints.add(name, endpoint)
        endpoint.create()
        return {"EndpointArn": arn}

    def _resolved(self, config_name: str) -> tuple[Params, dict[str, Params]]:
        """A configuration and its models, which the endpoint keeps even if they are deleted."""
        config = self._configs.get(config_name)
        names = {variant["ModelName"] for variant in config["ProductionVariants"]}
        return config, {name: self._models.get(name) for name in names}

    def _update_endpoint(self, params: Params) -> Params:
        endpoint = self.endpoints.get(params["EndpointName"])
        endpoint.check_updatable()
        config, models = self._resolved(params["EndpointConfigName"])
        self._check_scaled_variants(endpoint, config)
        deployment = params.get("DeploymentConfig", {})
        if params.get("RetainDeploymentConfig"):
            deployment = endpoint.deployment
        new = endpoint.fleet_of(retained_config(params, endpoint.config, config), models)
        retain_sizes(params, endpoint.fleet, new)
        check_deployment(deployment, new.counts)
        endpoint.deployment = deployment
        endpoint.update(new)
        return {"EndpointArn": endpoint.arn}

    def _scale_endpoint(self, params: Params) -> Params:
        endpoint = self.endpoints.get(params["EndpointName"])
        endpoint.scale(*wanted_sizes(params, endpoint.fleet))
        return {"EndpointArn": endpoint.arn}

    def _check_scaled_variants(self, endpoint: Endpoint, config: Params) -> None:
        """A variant that is registered with Application Auto Scaling keeps its instance type."""
        old = {name: v.get("InstanceType") for name, v in endpoint.variants().items()}
        new = {v["VariantName"]: v.get("InstanceType") for v in config["ProductionVariants"]}
        for variant in sorted(self._scaled_variants(endpoint.name)):
            if new.get(variant) != old.get(variant):
                raise invalid(
                    f"The variant {variant} of {endpoint.name} is registered with Application Auto Scaling, "
                    f"so its instance type cannot change from {old.get(variant)} to "
                    f"{new.get(variant) or 'none (the variant is removed)'}: first deregister its scalable "
                    "target (deploy without autoscaling), then update the endpoint, then register it again"
                )

    def _delete_endpoint(self, params: Params) -> Params:
        endpoint = self.endpoints.get(params["EndpointName"])
        endpoint.delete(lambda: self._tags.forget(self.endpoints.remove(endpoint.name).arn))
        return {}

    def _list_endpoints(self, params: Params) -> Params:
        keys = ("EndpointName", "EndpointArn", "CreationTime", "LastModifiedTime", "EndpointStatus")
        summaries = [{k: described(e)[k] for k in keys} for e in self.endpoints.all()]
        return page(summaries, params, "EndpointName", "Endpoints")
