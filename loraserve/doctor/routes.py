"""Routes of a VPC's subnets to S3 and to the internet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

#: What forwards a default route for an instance without a public address, by the key of the route. A route
#: to an internet gateway (`GatewayId` igw-…) serves public addresses only.
_FORWARDERS = (
    "NatGatewayId",
    "TransitGatewayId",
    "InstanceId",
    "NetworkInterfaceId",
    "VpcPeeringConnectionId",
    "LocalGatewayId",
    "CoreNetworkArn",
    "OdbNetworkArn",
)
_ANYWHERE = "0.0.0.0/0"


@dataclass(frozen=True)
class Routes:
    """The route tables and the S3 endpoints of a VPC, as EC2 describes them."""

    tables: list[dict[str, Any]]
    endpoints: list[dict[str, Any]]

    @classmethod
    def read(cls, ec2: Any, vpc_id: str, region: str) -> Routes:
        """Ask EC2; raises boto3's `ClientError`, with the operation's name."""
        vpc = {"Name": "vpc-id", "Values": [vpc_id]}
        s3 = {"Name": "service-name", "Values": [f"com.amazonaws.{region}.s3"]}
        tables = ec2.describe_route_tables(Filters=[vpc])["RouteTables"]
        endpoints = ec2.describe_vpc_endpoints(Filters=[vpc, s3])["VpcEndpoints"]
        return cls(
            [table for table in tables if table["VpcId"] == vpc_id],
            [e for e in endpoints if e["VpcId"] == vpc_id and e["ServiceName"].endswith(".s3")],
        )

    def reach_s3(self, subnet: str) -> bool:
        """Return whether the subnet has a way to S3: an endpoint for it, or a default route."""
        table = self._table(subnet)
        return any(
            endpoint["VpcEndpointType"] == "Interface"
            or table.get("RouteTableId") in endpoint["RouteTableIds"]
            for endpoint in self.endpoints
        ) or self.reach_internet(subnet)

    def reach_internet(self, subnet: str) -> bool:
        """Return whether the subnet has a default route that serves private addresses."""
        return any(
            route.get("DestinationCidrBlock") == _ANYWHERE
            and route.get("State") != "blackhole"
            and (any(route.get(key) for key in _FORWARDERS) or _is_forwarding_gateway(route))
            for route in self._table(subnet).get("Routes", [])
        )

    def table_id(self, subnet: str) -> str:
        """Return the id of the subnet's route table."""
        return str(self._table(subnet).get("RouteTableId", ""))

    def _table(self, subnet: str) -> dict[str, Any]:
        """Return the subnet's table, by default the VPC's main one."""
        main: dict[str, Any] = {}
        for table in self.tables:
            for association in table.get("Associations", []):
                if association.get("SubnetId") == subnet:
                    return table
                if association.get("Main"):
                    main = table
        return main


def _is_forwarding_gateway(route: dict[str, Any]) -> bool:
    """Return whether `GatewayId` is a virtual private gateway or a gateway load balancer's endpoint."""
    return str(route.get("GatewayId", "")).startswith(("vgw-", "vpce-"))
