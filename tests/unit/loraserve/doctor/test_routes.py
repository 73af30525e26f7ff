"""Ways of a subnet to S3 and to the internet, from EC2's descriptions."""

from typing import Any

import pytest

from loraserve.doctor.routes import Routes

ANYWHERE = {"DestinationCidrBlock": "0.0.0.0/0", "State": "active"}
LOCAL = {"DestinationCidrBlock": "10.0.0.0/16", "GatewayId": "local", "State": "active"}
GATEWAY = {"VpcEndpointType": "Gateway", "RouteTableIds": ["rtb-1"]}


def table(name: str, association: dict[str, Any], *routes: dict[str, Any]) -> dict[str, Any]:
    return {"RouteTableId": name, "Associations": [association], "Routes": [LOCAL, *routes]}


def of(*routes: dict[str, Any], endpoints: tuple[dict[str, Any], ...] = ()) -> Routes:
    return Routes([table("rtb-1", {"SubnetId": "subnet-1"}, *routes)], list(endpoints))


@pytest.mark.parametrize(
    "route",
    [
        ANYWHERE | {"NatGatewayId": "nat-1"},
        ANYWHERE | {"TransitGatewayId": "tgw-1"},
        ANYWHERE | {"NetworkInterfaceId": "eni-1"},
        ANYWHERE | {"GatewayId": "vgw-1"},
        ANYWHERE | {"GatewayId": "vpce-1"},
    ],
)
def test_a_default_route_that_serves_private_addresses(route: dict[str, Any]) -> None:
    assert of(route).reach_internet("subnet-1")
    assert of(route).reach_s3("subnet-1")


@pytest.mark.parametrize(
    "route",
    [
        ANYWHERE | {"GatewayId": "igw-1"},
        ANYWHERE | {"NatGatewayId": "nat-1", "State": "blackhole"},
        {"DestinationCidrBlock": "10.1.0.0/16", "NatGatewayId": "nat-1", "State": "active"},
        {"DestinationPrefixListId": "pl-1", "GatewayId": "vpce-1", "State": "active"},
    ],
)
def test_routes_that_serve_no_private_address(route: dict[str, Any]) -> None:
    assert not of(route).reach_internet("subnet-1")
    assert not of(route).reach_s3("subnet-1")


def test_an_s3_endpoint_is_a_way_for_the_tables_that_it_names() -> None:
    assert of(endpoints=(GATEWAY,)).reach_s3("subnet-1")
    assert not of(endpoints=(GATEWAY | {"RouteTableIds": ["rtb-2"]},)).reach_s3("subnet-1")
    assert of(endpoints=({"VpcEndpointType": "Interface", "RouteTableIds": []},)).reach_s3("subnet-1")


def test_a_subnet_without_a_table_has_the_main_one() -> None:
    main = table("rtb-main", {"Main": True}, ANYWHERE | {"NatGatewayId": "nat-1"})
    routes = Routes([main, table("rtb-1", {"SubnetId": "subnet-1"})], [])
    assert routes.reach_internet("subnet-2")
    assert routes.table_id("subnet-2") == "rtb-main"
    assert not routes.reach_internet("subnet-1")
