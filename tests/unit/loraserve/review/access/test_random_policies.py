"""Random policies against an independent evaluation of every request of a small universe."""

from copy import deepcopy
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.loraserve.review.access.documents import compare
from tests.unit.loraserve.review.access.oracle import allowed

_PRINCIPALS = st.sampled_from(
    [
        "*",
        {"AWS": "*"},
        {"AWS": "arn:aws:iam::<account>:root"},
        {"AWS": ["arn:aws:iam::<account>:root", "arn:aws:iam::999988887777:root"]},
        {"Service": "sns.amazonaws.com"},
    ]
)
_ACTIONS = (
    "*",
    "s3:*",
    "s3:Get*",
    "S3:GETOBJECT",
    "s3:GetObject?",
    "s3:*Object",
    "kms:Decrypt",
    "s3:PutObject",
)
_RESOURCES = (
    "*", "arn:aws:s3:::b/*", "arn:aws:s3:::b/a/*", "arn:aws:s3:::b/?/x", "arn:aws:s3:::b*", "arn:aws:s3:::*/x",
    "arn:aws:s3:::c?a", "arn:aws:s3:::b/a/x", "arn:aws:s3:::*",
)  # fmt: skip
_OPERATORS = st.sampled_from(
    [
        "StringEquals", "StringLike", "StringNotEquals", "StringNotLike", "StringEqualsIfExists", "StringLikeIfExists",
        "ForAnyValue:StringEquals", "ForAllValues:StringEquals", "ForAnyValue:StringLike", "ForAllValues:StringLike",
        "ForAnyValue:StringNotEquals", "ForAllValues:StringNotEquals",
    ]
)  # fmt: skip


def _some(values: tuple[str, ...]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=2, unique=True)


_TESTS = st.one_of(
    st.builds(
        lambda operator, values: {operator: {"k": values}},
        _OPERATORS,
        _some(("a", "b", "ab", "a*", "*", "?")),
    ),
    st.sampled_from([{"Null": {"k": "true"}}, {"Null": {"k": "false"}}]),
)


@st.composite
def _statements(
    draw: st.DrawFn, effects: tuple[str, ...] = ("Allow", "Allow", "Allow", "Deny")
) -> dict[str, Any]:
    def name(key: str) -> str:
        return f"Not{key}" if draw(st.integers(0, 5)) == 0 else key

    found = {
        "Effect": draw(st.sampled_from(effects)),
        name("Principal"): draw(_PRINCIPALS),
        name("Action"): draw(_some(_ACTIONS)),
        name("Resource"): draw(_some(_RESOURCES)),
    }
    if draw(st.booleans()):
        found["Condition"] = draw(_TESTS)
    return found


def _document(statements: list[dict[str, Any]]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": statements}


_DOCUMENTS = st.lists(_statements(), min_size=1, max_size=3).map(_document)


@st.composite
def _pairs(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """Draw a policy and one that differs from it in some fields: two unrelated ones are nearly always wider."""
    old = draw(_DOCUMENTS)
    new = deepcopy(old)
    for _ in range(draw(st.integers(1, 2))):
        other = draw(_statements())
        at = draw(st.integers(0, len(new["Statement"]) - 1))
        field = draw(st.sampled_from(["Principal", "Action", "Resource", "Condition", "whole", "gone"]))
        target = new["Statement"][at]
        if field == "whole":
            new["Statement"].append(other)
        elif field == "gone" and len(new["Statement"]) > 1:
            del new["Statement"][at]
        elif field != "gone":
            for key in (field, f"Not{field}"):
                target.pop(key, None)
                if key in other:
                    target[key] = other[key]
    return old, new


@settings(max_examples=300)
@given(_pairs())
def test_no_request_is_newly_allowed_by_what_is_not_called_wider(pair: tuple[dict[str, Any], dict[str, Any]]):
    old, new = pair
    before, after = allowed(old), allowed(new)

    verdict = compare(old, new)

    assert verdict in ("wider", "guard") or after <= before
    assert verdict != "equal" or after == before


@settings(max_examples=150)
@given(_DOCUMENTS, st.data())
def test_a_random_narrowing_is_never_wider(old: dict[str, Any], data: st.DataObject):
    new = deepcopy(old)
    statements = new["Statement"]
    for _ in range(data.draw(st.integers(1, 3))):
        each = data.draw(st.sampled_from(statements))
        step = data.draw(st.sampled_from(["remove", "fewer", "part", "condition", "deny", "form"]))
        if each["Effect"] == "Allow" and step == "remove" and len(statements) > 1:
            statements.remove(each)
        elif each["Effect"] == "Allow" and step == "fewer" and len(each.get("Action", [])) > 1:
            each["Action"].pop()
        elif each["Effect"] == "Allow" and step == "part" and "Resource" in each:
            each["Resource"] = [
                value.replace("*", "a/*") if value.endswith("*") else value for value in each["Resource"]
            ]
        elif each["Effect"] == "Allow" and step == "condition":
            each.setdefault("Condition", {})["StringEqualsIgnoreCase"] = {"aws:PrincipalType": "User"}
        elif step == "deny":
            statements.append(data.draw(_statements(effects=("Deny",))))
        else:
            each["Sid"] = f"S{len(statements)}"
            statements.reverse()

    assert compare(old, new) in ("equal", "narrower")


@settings(max_examples=150)
@given(_DOCUMENTS, st.data())
def test_a_random_widening_is_always_wider(old: dict[str, Any], data: st.DataObject):
    """Each step gives requests that no other statement of the policy can have given."""
    old["Statement"].insert(
        0,
        {
            "Effect": "Allow",
            "Principal": {"AWS": "arn:aws:iam::<account>:role/r"},
            "Action": ["sqs:SendMessage"],
            "Resource": ["arn:aws:sqs:<region>:<account>:q"],
            "Condition": {"StringEquals": {"aws:SourceVpc": ["vpc-1"]}},
        },
    )
    old["Statement"] = [
        each for each in old["Statement"] if each["Effect"] == "Deny" or not _is_general(each)
    ]
    new = deepcopy(old)
    mine = new["Statement"][0]
    match data.draw(
        st.sampled_from(["action", "star", "resource", "principal", "value", "drop", "loose", "new"])
    ):
        case "action":
            mine["Action"].append("sqs:DeleteQueue")
        case "star":
            mine["Action"] = ["sqs:S*"]
        case "resource":
            mine["Resource"].append("arn:aws:sqs:<region>:<account>:q2")
        case "principal":
            mine["Principal"] = {"AWS": "*"}
        case "value":
            mine["Condition"]["StringEquals"]["aws:SourceVpc"].append("vpc-2")
        case "drop":
            del mine["Condition"]
        case "loose":
            mine["Condition"] = {"StringEqualsIfExists": {"aws:SourceVpc": ["vpc-1"]}}
        case "new":
            new["Statement"].append(
                {"Effect": "Allow", "Principal": "*", "Action": "sns:Publish", "Resource": "*"}
            )

    assert compare(old, new) == "wider"


def _is_general(statement: dict[str, Any]) -> bool:
    """Return whether a drawn statement may allow what the fixed one does."""
    return "*" in statement.get("Action", ["*"])
