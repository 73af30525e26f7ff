"""Subnets in two availability zones, and a NAT gateway for them."""

from __future__ import annotations

from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from constructs import Construct

#: SageMaker requires two subnets in different zones, and spreads instances over them.
ZONES = 2
#: Blocks of equal size in a VPC; the first two are for instances, the last for the NAT gateway.
BLOCKS = 4


class Subnets(Construct):
    """A private subnet in each of two zones, with one route table without routes."""

    def __init__(
        self, scope: Construct, construct_id: str, *, vpc_id: str, cidr: str, zones: Sequence[str]
    ) -> None:
        """`cidr` is the VPC's, a /16 to /26: each subnet gets a quarter of it.

        `zones` are the names of two availability zones; empty for the region's first two.
        """
        super().__init__(scope, construct_id)
        self.blocks = cdk.Fn.cidr(cidr, BLOCKS, str(_subnet_bits(cidr)))
        """The addresses of the quarters."""
        table = ec2.CfnRouteTable(self, "Routes", vpc_id=vpc_id)
        self.route_table_id = table.attr_route_table_id
        """The private subnets' routes."""
        self.private_ids: list[str] = []
        """The subnets for instances."""
        self.zones = list(zones) or [cdk.Fn.select(number, cdk.Fn.get_azs()) for number in range(ZONES)]
        """The zone of each of them."""
        for number, zone in enumerate(self.zones):
            subnet = ec2.CfnSubnet(
                self,
                f"Private{number + 1}",
                vpc_id=vpc_id,
                availability_zone=zone,
                cidr_block=cdk.Fn.select(number, self.blocks),
                map_public_ip_on_launch=False,
            )
            ec2.CfnSubnetRouteTableAssociation(
                self,
                f"Private{number + 1}Routes",
                route_table_id=self.route_table_id,
                subnet_id=subnet.attr_subnet_id,
            )
            self.private_ids.append(subnet.attr_subnet_id)


class InternetAccess(Construct):
    """A NAT gateway: outbound connections to the internet, no inbound ones.

    One for both zones: if its zone fails, running instances continue to serve; only new ones need the Hub.
    """

    def __init__(self, scope: Construct, construct_id: str, *, vpc_id: str, subnets: Subnets) -> None:
        """Add a route to the gateway for the private subnets of `subnets`."""
        super().__init__(scope, construct_id)
        gateway = ec2.CfnInternetGateway(self, "Gateway")
        attachment = ec2.CfnVPCGatewayAttachment(
            self, "Attachment", vpc_id=vpc_id, internet_gateway_id=gateway.ref
        )
        public = ec2.CfnSubnet(
            self,
            "Public",
            vpc_id=vpc_id,
            availability_zone=subnets.zones[0],
            cidr_block=cdk.Fn.select(BLOCKS - 1, subnets.blocks),
            map_public_ip_on_launch=False,
        )
        table = ec2.CfnRouteTable(self, "Routes", vpc_id=vpc_id)
        association = ec2.CfnSubnetRouteTableAssociation(
            self, "PublicRoutes", route_table_id=table.attr_route_table_id, subnet_id=public.attr_subnet_id
        )
        out = ec2.CfnRoute(
            self,
            "Out",
            route_table_id=table.attr_route_table_id,
            destination_cidr_block="0.0.0.0/0",
            gateway_id=gateway.ref,
        )
        out.add_resource_dependency(attachment)
        address = ec2.CfnEIP(self, "Address", domain="vpc")
        address.add_resource_dependency(attachment)
        nat = ec2.CfnNatGateway(
            self, "Nat", subnet_id=public.attr_subnet_id, allocation_id=address.attr_allocation_id
        )
        # Its route to the internet must exist before it, and until after it.
        nat.add_resource_dependency(out)
        nat.add_resource_dependency(association)
        ec2.CfnRoute(
            self,
            "ToNat",
            route_table_id=subnets.route_table_id,
            destination_cidr_block="0.0.0.0/0",
            nat_gateway_id=nat.ref,
        )


def _subnet_bits(cidr: str) -> int:
    """Host bits of a quarter of the VPC, for `Fn::Cidr`."""
    return 32 - int(cidr.partition("/")[2]) - 2
