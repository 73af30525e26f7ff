"""Intrinsic functions as text: equal values are equal however they are written."""

from typing import Any

import pytest

from loraserve.review.access.text import Resolver
from loraserve.review.assembly import Stack, Stage

_STORE = {
    "Resources": {
        "Bucket": {"Type": "AWS::S3::Bucket"},
        "Topic": {"Type": "AWS::SNS::Topic"},
        "Key": {"Type": "AWS::KMS::Key"},
    },
    "Parameters": {"Any": {"Type": "String", "Default": "*"}},
    "Mappings": {"Map": {"a": {"b": "c"}}},
    "Outputs": {
        "Arn": {"Value": {"Fn::GetAtt": ["Bucket", "Arn"]}, "Export": {"Name": "Store:Arn"}},
    },
}


def _stack(name: str, template: dict[str, Any]) -> Stack:
    return Stack(
        name=name,
        stack_name=f"App-{name}",
        account="111122223333",
        region="eu-west-1",
        termination_protection=False,
        tags={},
        dependencies=(),
        template=template,
    )


_STACKS = {"Store": _stack("Store", _STORE), "Serving": _stack("Serving", {"Resources": {}})}
_RESOLVER = Resolver(Stage(id="Prod", stacks=_STACKS, facts=None, assets={}))
_OBJECTS = "<Store/Bucket.Arn>/*"


@pytest.mark.parametrize(
    ("stack", "value", "expected"),
    [
        ("Store", {"Fn::Sub": "${Bucket.Arn}/*"}, _OBJECTS),
        ("Store", {"Fn::Join": ["", [{"Fn::GetAtt": ["Bucket", "Arn"]}, "/*"]]}, _OBJECTS),
        ("Store", {"Fn::Join": ["/", [{"Fn::GetAtt": "Bucket.Arn"}, "*"]]}, _OBJECTS),
        ("Store", {"Fn::Sub": "arn:${AWS::Partition}:s3:::${Bucket}/*"}, _OBJECTS),
        ("Store", {"Fn::Sub": ["${Which}/*", {"Which": {"Fn::GetAtt": ["Bucket", "Arn"]}}]}, _OBJECTS),
        ("Serving", {"Fn::Join": ["", [{"Fn::ImportValue": "Store:Arn"}, "/*"]]}, _OBJECTS),
        (
            "Serving",
            {
                "Fn::Sub": [
                    "${It}/*",
                    {"It": {"Fn::GetStackOutput": {"StackName": "App-Store", "OutputName": "Arn"}}},
                ]
            },
            _OBJECTS,
        ),
        ("Store", {"Ref": "Topic"}, "<Store/Topic.Arn>"),
        ("Store", {"Fn::GetAtt": ["Topic", "TopicArn"]}, "<Store/Topic.Arn>"),
        ("Store", {"Fn::Sub": "arn:aws:kms:eu-west-1:111122223333:key/${Key}"}, "<Store/Key.Arn>"),
        ("Store", {"Fn::Sub": "arn:aws:iam::${AWS::AccountId}:root"}, "arn:aws:iam::<account>:root"),
        ("Store", "arn:aws:iam::111122223333:root", "arn:aws:iam::<account>:root"),
        ("Store", "arn:aws:iam::1111222233334:root", "arn:aws:iam::1111222233334:root"),
        ("Store", {"Fn::Sub": "logs.${AWS::Region}"}, "logs.<region>"),
        ("Store", "logs.eu-west-1", "logs.<region>"),
        ("Store", "<Store/Bucket.Arn>", "<lt;>Store/Bucket.Arn>"),
        ("Store", {"Fn::Sub": "${!aws:username}"}, "${aws:username}"),
        ("Store", {"Fn::Select": ["1", ["a", "b"]]}, "b"),
        ("Store", {"Fn::FindInMap": ["Map", "a", "b"]}, "c"),
        ("Store", ["a", {"Ref": "AWS::NoValue"}], ["a"]),
        ("Store", {"Action": {"Ref": "AWS::NoValue"}, "Effect": "Allow"}, {"Effect": "Allow"}),
    ],
)
def test_a_value_has_one_text(stack: str, value: Any, expected: Any):
    assert _RESOLVER.resolve(value, _STACKS[stack]) == expected


def test_what_the_deployment_decides_is_a_placeholder():
    parameter = _RESOLVER.text({"Ref": "Any"}, _STACKS["Store"])
    chosen = _RESOLVER.text({"Fn::Select": [0, {"Fn::GetAZs": ""}]}, _STACKS["Store"])

    assert parameter.startswith("<[")
    assert '"*"' in parameter
    assert chosen.startswith("<[")
    assert chosen != _RESOLVER.text({"Fn::Select": [1, {"Fn::GetAZs": ""}]}, _STACKS["Store"])
