"""CloudFormation's own diff, also of pairs that the library's tables of access cannot read."""

from typing import Any

from loraserve.review.assembly import CloudAssembly, Stack, Stage
from loraserve.review.stock_diff import stock_diff


def assembly(**properties: Any) -> CloudAssembly:
    store = Stack(
        name="Store", stack_name="Store", account="unknown-account", region="us-east-1",
        termination_protection=False, tags={}, dependencies=(),
        template={"Resources": {"Policy": {"Type": "AWS::S3::BucketPolicy", "Properties": properties}}},
    )  # fmt: skip
    stage = Stage(id="Prod", stacks={"Store": store}, facts=None, assets={})
    return CloudAssembly(stages={"Prod": stage}, prices_date=None)


def document(action: str) -> dict[str, Any]:
    return {"Statement": [{"Effect": "Allow", "Action": action, "Resource": "*", "Principal": "*"}]}


def test_a_policy_that_loses_its_document_is_printed() -> None:
    printed = stock_diff(assembly(Bucket="b", PolicyDocument=document("s3:*")), assembly(Bucket="b"))
    assert "Stack Prod/Store" in printed
    assert "[-] PolicyDocument" in printed


def test_access_is_printed_as_a_table() -> None:
    printed = stock_diff(
        assembly(Bucket="b", PolicyDocument=document("s3:*")),
        assembly(Bucket="b", PolicyDocument=document("s3:GetObject")),
    )
    assert "IAM Statement Changes" in printed
