"""Pairs of policies with known answers: nothing wider passes, and a rewrite is no change."""

from typing import Any

import pytest

from tests.unit.loraserve.review.access.documents import (
    BUCKET,
    allow,
    compare,
    deny,
    document,
    when,
    without,
)

ACCOUNT = when("StringEquals", "aws:SourceAccount", "<account>")
TLS = when("Bool", "aws:SecureTransport", "false")
PUBLIC = {"Principal": "*"}

#: Changes that a comparison of texts, or the stock security diff, takes for wider.
HARMLESS: dict[str, tuple[Any, Any, str]] = {
    "action removed": (
        [allow(["s3:GetObject", "s3:PutObject"])],
        [allow(["s3:GetObject"])],
        "narrower",
    ),
    "Sid renamed": ([allow(Sid="One")], [allow(Sid="Two")], "equal"),
    "statements merged": (
        [allow("s3:GetObject"), allow("s3:PutObject")],
        [allow(["s3:PutObject", "s3:GetObject"])],
        "equal",
    ),
    "statement split": (
        [allow("s3:GetObject", [f"{BUCKET}/a/*", f"{BUCKET}/b/*"])],
        [allow("s3:GetObject", f"{BUCKET}/a/*"), allow("s3:GetObject", f"{BUCKET}/b/*")],
        "equal",
    ),
    "resource narrowed": ([allow(resource=f"{BUCKET}/*")], [allow(resource=f"{BUCKET}/a/*")], "narrower"),
    "condition added": ([allow()], [allow(Condition=ACCOUNT)], "narrower"),
    "order of statements": ([allow("a:B"), allow("c:D")], [allow("c:D"), allow("a:B")], "equal"),
    "duplicate statement": ([allow()], [allow(), allow(Sid="Again")], "equal"),
    "list of one": ([allow("s3:GetObject")], [allow(["s3:GetObject"], [f"{BUCKET}/*"])], "equal"),
    "case of an action": ([allow("s3:GetObject")], [allow("S3:getobject")], "equal"),
    "case of a condition's key": (
        [allow(Condition=when("StringEquals", "aws:sourceaccount", "1"))],
        [allow(Condition=when("StringEquals", "AWS:SourceAccount", "1"))],
        "equal",
    ),
    "wildcard becomes a name": ([allow("s3:Get*")], [allow("s3:GetObject")], "narrower"),
    "question mark becomes a letter": ([allow("s3:Get?bject")], [allow("s3:GetObject")], "narrower"),
    "everybody in three ways": (
        [allow(Principal="*")],
        [allow(Principal={"AWS": ["*"]})],
        "equal",
    ),
    "account in two ways": (
        [allow(Principal={"AWS": "111122223333"})],
        [allow(Principal={"AWS": "arn:aws:iam::111122223333:root"})],
        "equal",
    ),
    "value of a condition removed": (
        [allow(Condition=when("StringEquals", "k", "a", "b"))],
        [allow(Condition=when("StringEquals", "k", "a"))],
        "narrower",
    ),
    "value of a negated condition added": (
        [allow(Condition=when("StringNotEquals", "k", "a"))],
        [allow(Condition=when("StringNotEquals", "k", "a", "b"))],
        "narrower",
    ),
    "pattern becomes a value": (
        [allow(Condition=when("StringLike", "k", "a*"))],
        [allow(Condition=when("StringEquals", "k", "ab"))],
        "narrower",
    ),
    "IfExists gone": (
        [allow(Condition=when("StringEqualsIfExists", "k", "a"))],
        [allow(Condition=when("StringEquals", "k", "a"))],
        "narrower",
    ),
    "statements merged by a condition's values": (
        [allow(Condition=when("StringEquals", "k", "a")), allow(Condition=when("StringEquals", "k", "b"))],
        [allow(Condition=when("StringEquals", "k", "a", "b"))],
        "equal",
    ),
    "smaller network": (
        [allow(Condition=when("IpAddress", "aws:SourceIp", "10.0.0.0/8"))],
        [allow(Condition=when("IpAddress", "aws:SourceIp", "10.1.0.0/16"))],
        "narrower",
    ),
    "ArnEquals is ArnLike": (
        [allow(Condition=when("ArnEquals", "aws:SourceArn", "arn:aws:s3:::a*"))],
        [allow(Condition=when("ArnLike", "aws:SourceArn", "arn:aws:s3:::a*"))],
        "equal",
    ),
    "Bool as text": (
        [deny(Condition=when("Bool", "aws:SecureTransport", "false"))],
        [deny(Condition=when("Bool", "aws:SecureTransport", False))],
        "equal",
    ),
    "Deny added": ([allow()], [allow(), deny("s3:Delete*")], "narrower"),
    "Deny wider": ([deny("s3:Delete*")], [deny("s3:*")], "narrower"),
    "Deny loses its condition": ([deny(Condition=TLS)], [deny()], "narrower"),
    "Deny of newer TLS": (
        [deny(Condition=when("NumericLessThan", "s3:TlsVersion", 1.2))],
        [deny(Condition=when("NumericLessThan", "s3:TlsVersion", "1.3"))],
        "narrower",
    ),
    "Deny for everybody in another way": (
        [deny(Principal={"AWS": "*"}, Condition=TLS)],
        [deny(Principal="*", Condition=TLS)],
        "equal",
    ),
    "NotAction has more": (
        [without(allow(NotAction="iam:*"), "Action")],
        [without(allow(NotAction=["iam:*", "sts:*"]), "Action")],
        "narrower",
    ),
    "NotAction becomes an action outside of it": (
        [without(allow(NotAction="iam:*"), "Action")],
        [allow("s3:GetObject")],
        "narrower",
    ),
    "everything becomes all but": (
        [allow("*")],
        [without(allow(NotAction="iam:*"), "Action")],
        "narrower",
    ),
    "NotResource has more": (
        [without(allow(NotResource=f"{BUCKET}/a"), "Resource")],
        [without(allow(NotResource=[f"{BUCKET}/a", f"{BUCKET}/b"]), "Resource")],
        "narrower",
    ),
    "a single statement without a list": (
        [allow()],
        {"Version": "2012-10-17", "Statement": allow()},
        "equal",
    ),
}

#: Changes that give more. The stock security diff does not see the first four, or does not call them wider.
WIDER: dict[str, tuple[Any, Any, str]] = {
    "Allow with NotAction": (
        [allow()],
        [allow(), without(allow(resource="*", NotAction="iam:*"), "Action")],
        "wider",
    ),
    "Allow with NotResource": (
        [allow()],
        [allow(), without(allow(NotResource="arn:aws:s3:::x/*"), "Resource")],
        "wider",
    ),
    "whole service on everything": (
        [allow("sagemaker:InvokeEndpoint")],
        [allow("sagemaker:*", "*")],
        "wider",
    ),
    "NotPrincipal": (
        [allow(Principal={"AWS": "<account>"})],
        [allow(NotPrincipal={"AWS": "<account>"})],
        "wider",
    ),
    "action added": ([allow("s3:GetObject")], [allow(["s3:GetObject", "s3:PutObject"])], "wider"),
    "action in another case added": ([allow()], [allow(["s3:GETOBJECT", "S3:putobject"])], "wider"),
    "star for a question mark": ([allow("s3:Get?bject")], [allow("s3:Get*bject")], "wider"),
    "question mark for a letter": ([allow("s3:GetObject")], [allow("s3:Get?bject")], "wider"),
    "question mark does not include a star": ([allow(resource="a?")], [allow(resource="a*")], "wider"),
    "question marks do not include a placeholder": (
        [allow(resource="arn:aws:s3:::?????")],
        [allow(resource="arn:aws:s3:::<A/B>")],
        "wider",
    ),
    "star in the middle does not cross a colon": (
        [allow(resource="arn:aws:s3:::a*c")],
        [allow(resource="arn:aws:s3:::a:b:c")],
        "wider",
    ),
    "case of a resource": ([allow(resource=f"{BUCKET}/a")], [allow(resource=f"{BUCKET}/A")], "wider"),
    "letter of another script": ([allow("kms:Decrypt")], [allow("\u212ams:Decrypt")], "wider"),
    "letter of another script gone": ([allow("\u212ams:Decrypt")], [allow("kms:Decrypt")], "wider"),
    "resource without its last part": (
        [allow(resource=f"{BUCKET}/a/*")],
        [allow(resource=f"{BUCKET}/*")],
        "wider",
    ),
    "resource added": ([allow()], [allow(resource=[f"{BUCKET}/*", "arn:aws:s3:::other/*"])], "wider"),
    "another bucket": ([allow()], [allow(resource="<AdapterStore/Other.Arn>/*")], "wider"),
    "a literal bracket is no placeholder": (
        [allow(resource="<lt;>AdapterStore/Bucket.Arn>/*")],
        [allow()],
        "wider",
    ),
    "condition dropped": ([allow(Condition=ACCOUNT)], [allow()], "wider"),
    "condition of another key": (
        [allow(Condition=ACCOUNT)],
        [allow(Condition=when("StringEquals", "aws:SourceArn", "<account>"))],
        "wider",
    ),
    "value of a condition added": (
        [allow(Condition=when("StringEquals", "k", "a"))],
        [allow(Condition=when("StringEquals", "k", "a", "b"))],
        "wider",
    ),
    "value of a negated condition removed": (
        [allow(Condition=when("StringNotEquals", "k", "a", "b"))],
        [allow(Condition=when("StringNotEquals", "k", "a"))],
        "wider",
    ),
    "value becomes a pattern": (
        [allow(Condition=when("StringEquals", "k", "a*"))],
        [allow(Condition=when("StringLike", "k", "a*"))],
        "wider",
    ),
    "IfExists added": (
        [allow(Condition=when("StringEquals", "k", "a"))],
        [allow(Condition=when("StringEqualsIfExists", "k", "a"))],
        "wider",
    ),
    "ForAllValues holds without the key": (
        [allow(Condition=when("StringEquals", "k", "a"))],
        [allow(Condition=when("ForAllValues:StringEquals", "k", "a"))],
        "wider",
    ),
    "ForAnyValue becomes ForAllValues": (
        [allow(Condition=when("ForAnyValue:StringLike", "k", "a"))],
        [allow(Condition=when("ForAllValues:StringLike", "k", "a"))],
        "wider",
    ),
    "Null reversed": (
        [allow(Condition=when("Null", "k", "false"))],
        [allow(Condition=when("Null", "k", "true"))],
        "wider",
    ),
    "Equals becomes NotEquals": (
        [allow(Condition=when("StringEquals", "k", "a"))],
        [allow(Condition=when("StringNotEquals", "k", "a"))],
        "wider",
    ),
    "larger network": (
        [allow(Condition=when("IpAddress", "aws:SourceIp", "10.1.0.0/16"))],
        [allow(Condition=when("IpAddress", "aws:SourceIp", "10.0.0.0/8"))],
        "wider",
    ),
    "policy variable for a name": (
        [allow(resource=f"{BUCKET}/a/*")],
        [allow(resource=f"{BUCKET}/${{aws:PrincipalTag/team}}/*")],
        "wider",
    ),
    "the version makes a variable of text": (
        document(allow(resource=f"{BUCKET}/${{aws:userid}}/*"), version=None),
        document(allow(resource=f"{BUCKET}/${{aws:userid}}/*")),
        "wider",
    ),
    "NotAction has less": (
        [without(allow(NotAction=["iam:*", "sts:*"]), "Action")],
        [without(allow(NotAction="iam:*"), "Action")],
        "wider",
    ),
    "NotAction becomes an action within it": (
        [without(allow(NotAction="iam:*"), "Action")],
        [allow("iam:PassRole")],
        "wider",
    ),
    "action becomes NotAction": ([allow("s3:*")], [without(allow(NotAction="s3:*"), "Action")], "wider"),
    "principal becomes everybody": ([allow(Principal={"AWS": "<account>"})], [allow(**PUBLIC)], "wider"),
    "principal of another kind": (
        [allow(Principal={"Service": "sns.amazonaws.com"})],
        [allow(Principal={"AWS": "sns.amazonaws.com"})],
        "wider",
    ),
    "everybody has no services": (
        [allow(Principal={"AWS": "*"})],
        [allow(Principal={"Service": "sns.amazonaws.com"})],
        "wider",
    ),
    "role of an allowed account": (
        [allow(Principal={"AWS": "<account>"})],
        [allow(Principal={"AWS": "arn:aws:iam::<account>:role/x"})],
        "wider",
    ),
    "effect reversed": ([deny()], [allow("s3:*")], "wider"),
    "statement that cannot be read": ([allow()], [allow(), {"Effect": "allow", "Action": "*"}], "wider"),
    "key in two cases": (
        [allow(Condition={"StringEquals": {"k": "a"}})],
        [allow(Condition={"StringEquals": {"k": "a", "K": "b"}})],
        "wider",
    ),
    "duplicate Sid hides a second statement": (
        [allow(Sid="A")],
        [allow(Sid="A"), allow("s3:DeleteObject", Sid="A")],
        "wider",
    ),
    "Deny gone": ([allow(), deny()], [allow()], "guard"),
    "Deny narrower in its action": ([deny("s3:*")], [deny("s3:Get*")], "guard"),
    "Deny narrower in its resource": ([deny()], [deny(resource=f"{BUCKET}/a/*")], "guard"),
    "Deny narrower in its principal": ([deny(**PUBLIC)], [deny(Principal={"AWS": "<account>"})], "guard"),
    "Deny with one condition more": (
        [deny(Condition=TLS)],
        [deny(Condition=TLS | when("StringEquals", "aws:PrincipalType", "User"))],
        "guard",
    ),
    "Deny of older TLS": (
        [deny(Condition=when("NumericLessThan", "s3:TlsVersion", 1.3))],
        [deny(Condition=when("NumericLessThan", "s3:TlsVersion", 1.2))],
        "guard",
    ),
    "Deny that never holds": (
        [deny(Condition=TLS)],
        [deny(Condition=when("Bool", "aws:SecureTransport", "never"))],
        "guard",
    ),
    "Deny with NotAction has more": (
        [without(deny(NotAction="s3:Get*"), "Action")],
        [without(deny(NotAction=["s3:Get*", "s3:Put*"]), "Action")],
        "guard",
    ),
    "Deny with NotPrincipal has more": (
        [deny(NotPrincipal={"AWS": "arn:aws:iam::<account>:role/a"})],
        [deny(NotPrincipal={"AWS": ["arn:aws:iam::<account>:role/a", "arn:aws:iam::<account>:role/b"]})],
        "guard",
    ),
}


@pytest.mark.parametrize(
    ("old", "new", "expected"), [pytest.param(*case, id=name) for name, case in (HARMLESS | WIDER).items()]
)
def test_a_pair_has_its_known_answer(old: Any, new: Any, expected: str):
    before, after = (each if isinstance(each, dict) else document(*each) for each in (old, new))

    assert compare(before, after) == expected
    assert compare(before, before) == compare(after, after) == "equal"


def test_the_table_is_large_enough():
    assert len(HARMLESS) + len(WIDER) >= 60
