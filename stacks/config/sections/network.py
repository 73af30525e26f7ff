"""Network of the containers."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from stacks.typed_yaml import Strict, shaped


def _id(prefix: str) -> AfterValidator:
    return shaped(f"{prefix}-[0-9a-f]{{8,17}}", f"write an id, e.g. {prefix}-0123456789abcdef0")


_Vpc = Annotated[str, _id("vpc")]
_Subnet = Annotated[str, _id("subnet")]
_Zone = Annotated[str, shaped(r"[a-z]{2}(-[a-z]+)+-\d[a-z]", "write a zone's name, e.g. us-east-1a")]
_SecurityGroup = Annotated[str, _id("sg")]


def _block(value: str) -> str:
    try:
        block = ipaddress.IPv4Network(value)
    except ValueError:
        raise ValueError("write a block of private addresses, e.g. 10.0.0.0/24") from None
    if not (block.is_private and 16 <= block.prefixlen <= 24):
        raise ValueError("write private addresses, and /16 to /24, e.g. 10.0.0.0/24")
    return value


class Network(Strict):
    """Network of the containers' own requests, of a mounted model's download and of data capture. SageMaker
    pulls the image and writes logs outside of it."""

    mode: Literal["public", "vpc", "private"] = "public"
    """`public`: SageMaker's own network, with internet. `vpc`: private subnets and a NAT gateway. `private`:
    no route to the internet, S3 through a gateway endpoint; the base model must be mirrored then."""
    vpc_id: _Vpc | None = None
    """An existing VPC; by default the stage creates one."""
    cidr: Annotated[str, AfterValidator(_block)] = "10.0.0.0/24"
    """Addresses of the VPC that the stage creates, /16 to /24, for instances and endpoints. They must not
    overlap with those of peered networks. They cannot be changed in a deployed stage: the VPC would be
    replaced under the instances."""
    availability_zones: list[_Zone] = Field([], max_length=2)
    """The two zones of the VPC that the stage creates, e.g. [us-east-1b, us-east-1c]; by default the region's
    first two. For accounts in which one of these lacks the instance type, or the interface endpoint of
    `sagemaker.runtime`. Immutable like `cidr`."""
    subnet_ids: list[_Subnet] = Field([], max_length=16)
    """Subnets of the existing VPC for the instances, in at least two zones."""
    security_group_ids: list[_SecurityGroup] = Field([], max_length=5)
    """Security groups of the existing VPC for the instances; by default the stage creates one without inbound
    rules."""

    @model_validator(mode="after")
    def _whole(self) -> Network:
        if self.mode == "public" and (self.vpc_id or self.subnet_ids or self.security_group_ids):
            raise ValueError(
                "vpc_id, subnet_ids and security_group_ids need mode: vpc or mode: private: write one of them"
            )
        if self.availability_zones and (self.mode == "public" or self.vpc_id is not None):
            raise ValueError(
                "availability_zones are those of a VPC that the stage creates: leave them out with mode: "
                "public, and with a vpc_id, whose subnet_ids decide"
            )
        if len(set(self.availability_zones)) == 1:
            raise ValueError("availability_zones: name two different zones, or none for the first two")
        if self.vpc_id is None and (self.subnet_ids or self.security_group_ids):
            raise ValueError("subnet_ids and security_group_ids need the vpc_id that they belong to: add it")
        if self.vpc_id is not None and len(set(self.subnet_ids)) < 2:
            raise ValueError(
                "name two subnet_ids at least, in different zones: one zone's outage would stop all instances"
            )
        return self
