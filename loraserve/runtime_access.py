"""Access to the endpoint of a stage, of the laptop cloud, or of any name: a client and its credentials."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import NoCredentialsError

from adapters.affinity import ADAPTER_AFFINE
from loraserve.client import runtime_config
from loraserve.errors import NotDeployed
from stacks.config.loading import LOCAL_STAGE, load_stages
from stacks.project import ROOT

if TYPE_CHECKING:
    from loraserve.load.signing import KeyChain


@dataclass(frozen=True, kw_only=True)
class RuntimeAccess:
    """An endpoint, and what its callers need."""

    endpoint: str
    """The endpoint's name in SageMaker."""
    runtime: Any
    """boto3 client of `sagemaker-runtime`, which does not retry."""
    credentials: KeyChain
    adapter_affine: bool
    """True if the stage's routing is `adapter_affine`; False for an endpoint that is no stage's."""


def endpoint_access(
    name: str, *, profile: str | None = None, region: str | None = None, endpoint_url: str | None = None
) -> RuntimeAccess:
    """Return the access to an endpoint.

    Args:
        name: a stage of stages/, `local` for the laptop cloud, or else the name of an endpoint.
        profile: AWS CLI profile; not for the laptop cloud.
        region: region of an endpoint that is not a stage's; None: that of the profile or the environment.
        endpoint_url: URL of SageMaker's runtime API; None: botocore's.

    Raises:
        NotDeployed: no laptop cloud, or one without endpoint.
        BotoCoreError: no region, no credentials, or no such profile.
    """
    if endpoint_url is None and name == LOCAL_STAGE:
        return _of_laptop_cloud()
    endpoint, is_affine = name, False
    if (ROOT / "stages" / f"{name}.yaml").is_file():
        [loaded] = load_stages(ROOT / "stages", name)
        endpoint, region = loaded.endpoint_name, region or loaded.config.region
        is_affine = loaded.config.endpoint.routing == ADAPTER_AFFINE
    session = boto3.Session(profile_name=profile, region_name=region)
    return _access(endpoint, session, runtime_config(), endpoint_url, is_affine)


def _of_laptop_cloud() -> RuntimeAccess:
    # A set-up for deployments does not install what the laptop cloud needs.
    from loraserve import local_stage  # noqa: PLC0415

    cloud = local_stage.running()
    if cloud is None:
        raise NotDeployed("no laptop cloud is running here: start it with 'make up', or name a stage in AWS")
    outputs = local_stage.outputs(cloud)
    if "EndpointName" not in outputs:
        raise NotDeployed("the laptop cloud has no endpoint: deploy the Local stage with 'make up'")
    variables = local_stage.client_variables(cloud)
    session = boto3.Session(
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        region_name=variables["AWS_REGION"],
    )
    # A proxy does not reach this machine's loopback.
    config = runtime_config().merge(Config(proxies={}))
    is_affine = outputs.get("Routing") == ADAPTER_AFFINE
    return _access(outputs["EndpointName"], session, config, cloud.url, is_affine)


def _access(
    endpoint: str, session: boto3.Session, config: Config, endpoint_url: str | None, adapter_affine: bool
) -> RuntimeAccess:
    credentials: KeyChain | None = session.get_credentials()
    if credentials is None:
        raise NoCredentialsError
    runtime = session.client("sagemaker-runtime", config=config, endpoint_url=endpoint_url)
    return RuntimeAccess(
        endpoint=endpoint, runtime=runtime, credentials=credentials, adapter_affine=adapter_affine
    )
