"""Changes of a small stage's access, each with the findings that it must give."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

Resources = dict[str, Any]
Edit = Callable[[dict[str, Resources]], None]

_VERSION = {"Version": "2012-10-17"}
_TLS = {"Bool": {"aws:SecureTransport": "false"}}
_OWN = {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
_ROOT = {"AWS": {"Fn::Sub": "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"}}
_FOREIGN = {"AWS": "arn:aws:iam::999988887777:root"}
_OBJECTS = {"Fn::Join": ["", [{"Fn::GetAtt": ["Bucket", "Arn"]}, "/adapters/*"]]}
_MODEL = "/models/meta/llama/{}/*"


def _document(*statements: Any) -> dict[str, Any]:
    return {**_VERSION, "Statement": list(statements)}


def _allow(action: Any, resource: Any = None, **other: Any) -> dict[str, Any]:
    return (
        {"Effect": "Allow", "Action": action} | ({} if resource is None else {"Resource": resource}) | other
    )


def _role(service: str, **properties: Any) -> dict[str, Any]:
    trust = _document(_allow("sts:AssumeRole", Principal={"Service": service}, Condition=_OWN))
    return {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": trust, **properties}}


def _policy(role: str, *statements: Any) -> dict[str, Any]:
    return {
        "Type": "AWS::IAM::Policy",
        "Properties": {"PolicyName": "P", "PolicyDocument": _document(*statements), "Roles": [{"Ref": role}]},
    }


def _model(revision: str) -> dict[str, Any]:
    return {"Fn::Join": ["", [{"Fn::ImportValue": "BucketArn"}, _MODEL.format(revision)]]}


def _group(*ingress: Any, egress: Any = "10.0.0.0/16") -> dict[str, Any]:
    return {
        "Type": "AWS::EC2::SecurityGroup",
        "Properties": {
            "GroupDescription": "G",
            "SecurityGroupIngress": list(ingress),
            "SecurityGroupEgress": [_https(egress)],
        },
    }


def _https(network: Any) -> dict[str, Any]:
    return {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "CidrIp": network}


def base() -> dict[str, Resources]:
    """Return the resources of the stage's stacks."""
    return deepcopy(
        {
            "Store": {
                "Bucket": {
                    "Type": "AWS::S3::Bucket",
                    "DeletionPolicy": "Retain",
                    "Properties": {
                        "BucketEncryption": {
                            "ServerSideEncryptionConfiguration": [
                                {
                                    "ServerSideEncryptionByDefault": {
                                        "KMSMasterKeyID": {"Fn::GetAtt": ["Key", "Arn"]}
                                    }
                                }
                            ]
                        }
                    },
                },
                "Key": {
                    "Type": "AWS::KMS::Key",
                    "Properties": {"KeyPolicy": _document(_allow("kms:*", "*", Principal=_ROOT))},
                },
                "Topic": {"Type": "AWS::SNS::Topic"},
                "BucketPolicy": {
                    "Type": "AWS::S3::BucketPolicy",
                    "Properties": {
                        "Bucket": {"Ref": "Bucket"},
                        "PolicyDocument": _document(
                            {
                                "Effect": "Deny",
                                "Action": "s3:*",
                                "Principal": {"AWS": "*"},
                                "Resource": [{"Fn::GetAtt": ["Bucket", "Arn"]}, _OBJECTS],
                                "Condition": _TLS,
                            }
                        ),
                    },
                },
                "TopicPolicy": {
                    "Type": "AWS::SNS::TopicPolicy",
                    "Properties": {
                        "Topics": [{"Ref": "Topic"}],
                        "PolicyDocument": _document(
                            _allow(
                                "sns:Publish",
                                {"Ref": "Topic"},
                                Principal={"Service": "cloudwatch.amazonaws.com"},
                                Condition=_OWN,
                            )
                        ),
                    },
                },
                "SeederRole": _role(
                    "lambda.amazonaws.com",
                    ManagedPolicyArns=["arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"],
                    Policies=[
                        {"PolicyName": "I", "PolicyDocument": _document(_allow("s3:PutObject", _OBJECTS))}
                    ],
                    PermissionsBoundary="arn:aws:iam::111122223333:policy/boundary",
                ),
                "Chosen": _policy("OtherRole", _allow("sqs:SendMessage", "*")) | {"Condition": "Chosen"},
                "SeederPolicy": _policy("SeederRole", _allow(["s3:GetObject", "s3:DeleteObject"], _OBJECTS)),
                "OtherRole": _role(
                    "lambda.amazonaws.com", PermissionsBoundary="arn:aws:iam::111122223333:policy/boundary"
                ),
                "OtherPolicy": _policy(
                    "OtherRole",
                    _allow("s3:GetObject", _OBJECTS),
                    _allow("iam:PassRole", {"Fn::GetAtt": ["OtherRole", "Arn"]}),
                ),
                "Seeder": {
                    "Type": "AWS::Lambda::Function",
                    "Properties": {"Role": {"Fn::GetAtt": ["SeederRole", "Arn"]}},
                },
                "Other": {
                    "Type": "AWS::Lambda::Function",
                    "Properties": {"Role": {"Fn::GetAtt": ["OtherRole", "Arn"]}},
                },
            },
            "Serving": {
                "Role": _role("sagemaker.amazonaws.com"),
                "Policy": _policy(
                    "Role",
                    _allow("s3:GetObject", _model("r1"), Sid="Read"),
                    _allow(
                        "s3:ListBucket",
                        {"Fn::ImportValue": "BucketArn"},
                        Condition={
                            "StringLikeIfExists": {"s3:prefix": ["adapters/*", "models/meta/llama/r1/*"]}
                        },
                    ),
                ),
                "Callers": {
                    "Type": "AWS::IAM::ManagedPolicy",
                    "Properties": {
                        "PolicyDocument": _document(
                            _allow(["sagemaker:InvokeEndpoint", "sagemaker:CallWithBearerToken"], "*")
                        )
                    },
                },
                "Model": {
                    "Type": "AWS::SageMaker::Model",
                    "Properties": {"ExecutionRoleArn": {"Fn::GetAtt": ["Role", "Arn"]}},
                },
                "Config": {"Type": "AWS::SageMaker::EndpointConfig", "Properties": {}},
                "Group": _group(_https("10.0.0.0/16")),
                "Gateway": {
                    "Type": "AWS::EC2::VPCEndpoint",
                    "Properties": {
                        "VpcId": "vpc-1",
                        "ServiceName": "s3",
                        "PolicyDocument": _document(
                            _allow("s3:GetObject", {"Fn::ImportValue": "BucketArn"}, Principal="*")
                        ),
                    },
                },
            },
        }
    )


def _properties(resources: Resources, name: str) -> dict[str, Any]:
    found: dict[str, Any] = resources[name]["Properties"]
    return found


def _statements(
    stack: str, name: str, key: str = "PolicyDocument"
) -> Callable[[dict[str, Resources]], list[Any]]:
    return lambda stacks: _properties(stacks[stack], name)[key]["Statement"]


def _added(stack: str, name: str, *statements: Any, key: str = "PolicyDocument") -> Edit:
    return lambda stacks: _statements(stack, name, key)(stacks).extend(statements)


def _set(stack: str, name: str, **properties: Any) -> Edit:
    return lambda stacks: _properties(stacks[stack], name).update(deepcopy(properties))


def _unset(stack: str, name: str, key: str) -> Edit:
    return lambda stacks: _properties(stacks[stack], name).pop(key)


def _gone(stack: str, *names: str) -> Edit:
    return lambda stacks: [stacks[stack].pop(name) for name in names]  # type: ignore[return-value]


def _new(stack: str, name: str, resource: Any) -> Edit:
    return lambda stacks: stacks.setdefault(stack, {}).__setitem__(name, deepcopy(resource))


def _role_added(*statements: Any) -> Edit:
    return _added("Serving", "Policy", *statements)


def _trusts(principal: Any, condition: Any = None) -> Edit:
    """Add a principal to the trust policy of the execution role."""
    statement = _allow("sts:AssumeRole", Principal=principal) | (
        {} if condition is None else {"Condition": condition}
    )
    return _added("Serving", "Role", statement, key="AssumeRolePolicyDocument")


def _permission(principal: str, **other: Any) -> Edit:
    properties = {
        "Action": "lambda:InvokeFunction",
        "FunctionName": {"Ref": "Seeder"},
        "Principal": principal,
        **other,
    }
    return _new("Store", "Permission", {"Type": "AWS::Lambda::Permission", "Properties": properties})


def _moved_inline(stacks: dict[str, Resources]) -> None:
    """Move all statements of a role into one managed policy."""
    role, policy = _properties(stacks["Store"], "SeederRole"), stacks["Store"].pop("SeederPolicy")
    statements = [
        *role.pop("Policies")[0]["PolicyDocument"]["Statement"],
        *policy["Properties"]["PolicyDocument"]["Statement"],
    ]
    stacks["Store"]["SeederManaged"] = {
        "Type": "AWS::IAM::ManagedPolicy",
        "Properties": {"PolicyDocument": _document(*statements)},
    }
    role["ManagedPolicyArns"].append({"Ref": "SeederManaged"})


def _rewritten(stacks: dict[str, Resources]) -> None:
    """Write the same ARN by another function, without Sid, as a list."""
    statement = _statements("Serving", "Policy")(stacks)[0]
    del statement["Sid"]
    statement["Action"] = ["S3:GetObject"]
    statement["Resource"] = [
        {"Fn::Sub": ["${Bucket}/models/meta/llama/r1/*", {"Bucket": {"Fn::ImportValue": "BucketArn"}}]}
    ]


def _revision(stacks: dict[str, Resources]) -> None:
    first, second = _statements("Serving", "Policy")(stacks)
    first["Resource"] = _model("r2")
    second["Condition"]["StringLikeIfExists"]["s3:prefix"][1] = "models/meta/llama/r2/*"


def _captured(stacks: dict[str, Resources], prefix: str) -> None:
    """Turn the data capture on, with a right to write below a prefix of the bucket."""
    _properties(stacks["Serving"], "Config")["DataCaptureConfig"] = {
        "EnableCapture": True,
        "DestinationS3Uri": {"Fn::Join": ["", ["s3://", {"Fn::ImportValue": "BucketName"}, "/captured/"]]},
    }
    resource = {"Fn::Join": ["", [{"Fn::ImportValue": "BucketArn"}, prefix]]}
    _statements("Serving", "Policy")(stacks).extend(
        [_allow("s3:PutObject", resource), _allow("kms:GenerateDataKey", {"Fn::ImportValue": "KeyArn"})]
    )


def _if(yes: Any, no: Any) -> dict[str, Any]:
    return {"Fn::If": ["Chosen", yes, no]}


def _policies_by_condition(stacks: dict[str, Resources]) -> None:
    """Hide a wider inline policy in a list that a condition chooses."""
    properties = _properties(stacks["Store"], "SeederRole")
    wide = [{"PolicyName": "I", "PolicyDocument": _document(_allow("s3:*", "*"))}]
    properties["Policies"] = _if(wide, properties["Policies"])


#: Name of a change: the edit, and the findings as `rule LEVEL`.
CASES: dict[str, tuple[Edit, set[str]]] = {
    # Form, and less.
    "nothing but form": (_rewritten, {"form.policy NOISE"}),
    "inline becomes managed": (_moved_inline, {"access.callers REVIEW", "form.policy NOISE"}),
    "another revision of the base model": (_revision, {"access.rescoped ROUTINE"}),
    "action removed": (
        lambda stacks: _statements("Store", "SeederPolicy")(stacks)[0]["Action"].pop(),
        {"access.narrower ROUTINE"},
    ),
    "policy deleted": (_gone("Store", "OtherPolicy"), {"access.narrower ROUTINE"}),
    "role deleted with its function": (
        _gone("Store", "OtherPolicy", "OtherRole", "Other", "Chosen"),
        {"access.narrower ROUTINE"},
    ),
    "callers may do less": (
        lambda stacks: _statements("Serving", "Callers")(stacks)[0]["Action"].pop(),
        {"access.callers REVIEW"},
    ),
    "callers' policy deleted": (_gone("Serving", "Callers"), {"access.callers REVIEW"}),
    "callers' policy renamed": (_set("Serving", "Callers", ManagedPolicyName="n"), {"access.callers REVIEW"}),
    "callers' policy described anew": (
        _set("Serving", "Callers", Description="n"),
        {"access.callers REVIEW"},
    ),
    # Wider.
    "action added": (_role_added(_allow("s3:PutObject", _model("r1"))), {"access.wider REVIEW"}),
    "whole bucket": (
        _role_added(_allow("s3:GetObject", {"Fn::Sub": ["${B}/*", {"B": {"Fn::ImportValue": "BucketArn"}}]})),
        {"access.wider REVIEW"},
    ),
    "another account's key": (
        _role_added(_allow("kms:Decrypt", "arn:aws:kms:eu-west-1:999988887777:key/k")),
        {"access.foreign REVIEW"},
    ),
    "callers: whole service": (
        _added("Serving", "Callers", _allow("sagemaker:*", "*")),
        {"access.callers BLOCK"},
    ),
    "callers: one action more": (
        _added("Serving", "Callers", _allow("sagemaker:DeleteEndpoint", "*")),
        {"access.callers REVIEW"},
    ),
    "everything but": (
        _role_added({"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}),
        {"access.wider BLOCK"},
    ),
    "everything but, on one resource": (
        _role_added({"Effect": "Allow", "NotAction": "iam:*", "Resource": _model("r1")}),
        {"access.wider REVIEW"},
    ),
    "everywhere but": (
        _role_added({"Effect": "Allow", "Action": "s3:GetObject", "NotResource": "arn:aws:s3:::x/*"}),
        {"access.wider REVIEW"},
    ),
    "a whole service everywhere but": (
        _role_added({"Effect": "Allow", "Action": "s3:*", "NotResource": "arn:aws:s3:::x/*"}),
        {"access.wider BLOCK"},
    ),
    "all actions": (_role_added(_allow("*", "*")), {"access.wider BLOCK"}),
    "all actions, hidden": (_role_added(_allow("*:*", "arn:aws:*")), {"access.wider BLOCK"}),
    "all of a service, hidden": (_role_added(_allow("s3:?*", "arn:aws:s3:::*")), {"access.wider BLOCK"}),
    "all of a service, nearly": (_role_added(_allow("S3:*t*", ["*"])), {"access.wider BLOCK"}),
    "PassRole on everything": (_role_added(_allow("iam:PassRole", "*")), {"access.wider BLOCK"}),
    "PassRole on all roles": (
        _role_added(_allow("IAM:Pass*", "arn:aws:iam::111122223333:role/*")),
        {"access.wider BLOCK"},
    ),
    "AssumeRole on everything": (_role_added(_allow("sts:Assume?ole", "*")), {"access.wider BLOCK"}),
    "data capture": (lambda stacks: _captured(stacks, "/captured/*"), {"access.capture ROUTINE"}),
    "data capture, and more": (
        lambda stacks: _captured(stacks, "/*"),
        {"access.capture ROUTINE", "access.wider REVIEW"},
    ),
    "policy no longer of a condition": (
        lambda stacks: stacks["Store"]["Chosen"].pop("Condition"),
        {"access.wider REVIEW"},
    ),
    "PassRole on another role of the stage": (
        lambda stacks: _statements("Store", "OtherPolicy")(stacks)[1].update(
            Resource={"Fn::GetAtt": ["SeederRole", "Arn"]}
        ),
        {"access.wider REVIEW"},
    ),
    "administrator": (
        _set("Store", "SeederRole", ManagedPolicyArns=["arn:aws:iam::aws:policy/AdministratorAccess"]),
        {"access.wider BLOCK"},
    ),
    "administrator of another partition": (
        _set("Store", "SeederRole", ManagedPolicyArns=["arn:aws-us-gov:iam::aws:policy/AdministratorAccess"]),
        {"access.wider BLOCK"},
    ),
    "all of S3 by AWS's policy": (
        _set("Store", "OtherRole", ManagedPolicyArns=["arn:aws:iam::aws:policy/AmazonS3FullAccess"]),
        {"access.wider BLOCK"},
    ),
    "AWS's policy": (
        _set("Store", "OtherRole", ManagedPolicyArns=["arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"]),
        {"access.wider REVIEW"},
    ),
    "policy of a condition": (_policies_by_condition, {"access.wider BLOCK"}),
    "action of a condition": (
        _role_added(_allow(_if("s3:*", "s3:GetObject"), "*")),
        {"access.wider BLOCK", "access.wider REVIEW"},
    ),
    "resource of a parameter": (_role_added(_allow("s3:*", {"Ref": "Anything"})), {"access.wider BLOCK"}),
    "policy for another role": (
        _set("Store", "SeederPolicy", Roles=[{"Ref": "SeederRole"}, {"Ref": "OtherRole"}]),
        {"access.wider REVIEW"},
    ),
    "policy for a role of another stack": (
        _set("Store", "SeederPolicy", Roles=["admin"]),
        {"access.wider REVIEW", "access.narrower ROUTINE"},
    ),
    "statement moves to another role": (
        lambda stacks: _statements("Store", "OtherPolicy")(stacks).append(
            _statements("Store", "SeederPolicy")(stacks).pop()
        ),
        {"access.wider REVIEW", "access.narrower ROUTINE"},
    ),
    # Roles.
    "function with a wider role": (
        _set("Store", "Other", Role={"Fn::GetAtt": ["SeederRole", "Arn"]}),
        {"access.wider REVIEW"},
    ),
    "function with a role of elsewhere": (
        _set("Store", "Other", Role="arn:aws:iam::111122223333:role/admin"),
        {"access.foreign REVIEW"},
    ),
    "function's role by another function": (
        _set("Store", "Other", Role={"Fn::Sub": "${OtherRole.Arn}"}),
        {"form.policy NOISE"},
    ),
    "boundary gone": (
        lambda stacks: [
            _unset("Store", name, "PermissionsBoundary")(stacks) for name in ("SeederRole", "OtherRole")
        ],  # type: ignore[return-value]
        {"access.boundary REVIEW"},
    ),
    "boundary changed": (_set("Store", "OtherRole", PermissionsBoundary="x"), {"access.boundary REVIEW"}),
    "longer sessions": (_set("Store", "OtherRole", MaxSessionDuration=43200), {"access.session REVIEW"}),
    "role renamed": (_set("Store", "OtherRole", RoleName="n"), {"access.replaced REVIEW"}),
    "inline policy renamed": (_set("Store", "OtherPolicy", PolicyName="Q"), {"form.description NOISE"}),
    "new role": (
        _new(
            "Store",
            "New",
            _role(
                "lambda.amazonaws.com",
                Policies=[{"PolicyName": "I", "PolicyDocument": _document(_allow("s3:GetObject", _OBJECTS))}],
            ),
        ),
        {"access.wider REVIEW", "access.new ROUTINE"},
    ),
    # Trust.
    "everybody may assume": (_trusts("*"), {"access.public BLOCK"}),
    "everybody may assume, in another way": (_trusts({"AWS": ["*"]}), {"access.public BLOCK"}),
    "everybody with an external id": (
        _trusts({"AWS": "*"}, {"StringEquals": {"sts:ExternalId": "x"}}),
        {"access.public BLOCK"},
    ),
    "everybody of whose account nothing is asked": (
        _trusts("*", {"StringLike": {"aws:PrincipalAccount": "*"}}),
        {"access.public BLOCK"},
    ),
    "everybody if the key is missing": (
        _trusts("*", {"StringEqualsIfExists": {"aws:PrincipalOrgID": "o-1"}}),
        {"access.public BLOCK"},
    ),
    "everybody for all values": (
        _trusts("*", {"ForAllValues:StringEquals": {"aws:PrincipalOrgID": "o-1"}}),
        {"access.public BLOCK"},
    ),
    "everybody whose account is its account": (
        _trusts("*", {"StringEquals": {"aws:PrincipalAccount": "${aws:PrincipalAccount}"}}),
        {"access.public BLOCK"},
    ),
    "another account may assume": (_trusts(_FOREIGN), {"access.foreign BLOCK"}),
    "another account by its number": (_trusts({"AWS": "999988887777"}), {"access.foreign BLOCK"}),
    "own account may assume": (_trusts(_ROOT), {"access.wider REVIEW"}),
    "another service may assume": (_trusts({"Service": "ec2.amazonaws.com"}), {"access.wider REVIEW"}),
    "any workflow of GitHub": (
        _trusts(
            {"Federated": "arn:aws:iam::111122223333:oidc-provider/token.actions.githubusercontent.com"},
            {"StringEquals": {"token.actions.githubusercontent.com:aud": "sts.amazonaws.com"}},
        ),
        {"access.public BLOCK"},
    ),
    "one repository of GitHub": (
        _trusts(
            {"Federated": "arn:aws:iam::111122223333:oidc-provider/token.actions.githubusercontent.com"},
            {"StringLike": {"token.actions.githubusercontent.com:sub": "repo:org/name:*"}},
        ),
        {"access.wider REVIEW"},
    ),
    "condition of the trust dropped": (
        lambda stacks: _statements("Serving", "Role", "AssumeRolePolicyDocument")(stacks)[0].pop("Condition"),
        {"access.wider REVIEW"},
    ),
    # Resources' policies.
    "TLS no longer required": (
        lambda stacks: _statements("Store", "BucketPolicy")(stacks).clear(),
        {"access.guard BLOCK"},
    ),
    "TLS no longer required of one": (
        lambda stacks: _statements("Store", "BucketPolicy")(stacks)[0]["Condition"].update(
            StringNotEquals={"aws:PrincipalAccount": "999988887777"}
        ),
        {"access.guard BLOCK"},
    ),
    "bucket policy deleted": (_gone("Store", "BucketPolicy"), {"access.guard BLOCK"}),
    "bucket policy of another bucket": (
        _set("Store", "BucketPolicy", Bucket="another"),
        {"access.guard BLOCK", "access.narrower ROUTINE"},
    ),
    "public bucket": (
        _added("Store", "BucketPolicy", _allow("s3:GetObject", _OBJECTS, Principal="*")),
        {"access.public BLOCK"},
    ),
    "public bucket but for one": (
        _added("Store", "BucketPolicy", _allow("s3:GetObject", _OBJECTS, NotPrincipal=_FOREIGN)),
        {"access.public BLOCK"},
    ),
    "half of the internet": (
        _added(
            "Store",
            "BucketPolicy",
            _allow(
                "s3:GetObject",
                _OBJECTS,
                Principal="*",
                Condition={"IpAddress": {"aws:SourceIp": "0.0.0.0/1"}},
            ),
        ),
        {"access.public BLOCK"},
    ),
    "organization": (
        _added(
            "Store",
            "BucketPolicy",
            _allow(
                "s3:GetObject",
                _OBJECTS,
                Principal="*",
                Condition={"StringEquals": {"aws:PrincipalOrgID": "o-1"}},
            ),
        ),
        {"access.foreign REVIEW"},
    ),
    "bucket for another account": (
        _added("Store", "BucketPolicy", _allow("s3:GetObject", _OBJECTS, Principal=_FOREIGN)),
        {"access.foreign REVIEW"},
    ),
    "key for another account": (
        _added("Store", "Key", _allow("kms:Decrypt", "*", Principal=_FOREIGN), key="KeyPolicy"),
        {"access.foreign REVIEW"},
    ),
    "whole key for another account": (
        _added("Store", "Key", _allow("kms:*", "*", Principal=_FOREIGN), key="KeyPolicy"),
        {"access.foreign BLOCK"},
    ),
    "key for everybody who comes by S3": (
        _added(
            "Store",
            "Key",
            _allow(
                "kms:Decrypt",
                "*",
                Principal="*",
                Condition={"StringEquals": {"kms:ViaService": "s3.eu-west-1.amazonaws.com"}},
            ),
            key="KeyPolicy",
        ),
        {"access.public BLOCK"},
    ),
    "key by S3 in this account": (
        _added(
            "Store",
            "Key",
            _allow(
                "kms:Decrypt",
                "*",
                Principal="*",
                Condition={
                    "StringEquals": {
                        "kms:ViaService": "s3.eu-west-1.amazonaws.com",
                        "kms:CallerAccount": {"Ref": "AWS::AccountId"},
                    }
                },
            ),
            key="KeyPolicy",
        ),
        {"access.wider REVIEW"},
    ),
    "key without administration": (
        _set("Store", "Key", KeyPolicy=_document(_allow("kms:Decrypt", "*", Principal=_ROOT))),
        {"access.narrower REVIEW"},
    ),
    "key policy left to AWS": (_unset("Store", "Key", "KeyPolicy"), {"form.policy NOISE"}),
    "topic without its source": (
        lambda stacks: _statements("Store", "TopicPolicy")(stacks)[0].pop("Condition"),
        {"access.wider REVIEW"},
    ),
    "public function": (_permission("*"), {"access.public BLOCK"}),
    "public function of an account": (
        _permission("*", SourceAccount={"Ref": "AWS::AccountId"}),
        {"access.wider REVIEW"},
    ),
    "function without the account of its source": (_permission("s3.amazonaws.com"), {"access.wider REVIEW"}),
    "function for another account": (_permission("999988887777"), {"access.foreign REVIEW"}),
    "function of a public URL": (
        _permission("*", Action="lambda:InvokeFunctionUrl", FunctionUrlAuthType="NONE"),
        {"access.public BLOCK"},
    ),
    "VPC endpoint for all buckets": (
        _added("Serving", "Gateway", _allow("s3:*", "*", Principal="*")),
        {"access.wider REVIEW"},
    ),
    "VPC endpoint without a policy": (
        _unset("Serving", "Gateway", "PolicyDocument"),
        {"access.wider REVIEW"},
    ),
    "policy of a secret": (
        _new(
            "Store",
            "Secret",
            {
                "Type": "AWS::SecretsManager::ResourcePolicy",
                "Properties": {
                    "SecretId": "s",
                    "ResourcePolicy": _document(
                        _allow("secretsmanager:GetSecretValue", "*", Principal=_FOREIGN)
                    ),
                },
            },
        ),
        {"access.foreign REVIEW"},
    ),
    # New stacks.
    "new stack": (
        _new("Network", "Role", _role("vpc-flow-logs.amazonaws.com")),
        {"access.new ROUTINE"},
    ),
    "new stack that everybody may assume": (
        _new(
            "Network",
            "Role",
            {
                "Type": "AWS::IAM::Role",
                "Properties": {
                    "AssumeRolePolicyDocument": _document(_allow("sts:AssumeRole", Principal="*"))
                },
            },
        ),
        {"access.public BLOCK"},
    ),
    # Security groups.
    "ingress from everywhere": (
        _set("Serving", "Group", SecurityGroupIngress=[_https("0.0.0.0/0")]),
        {"access.public BLOCK"},
    ),
    "ingress from everywhere by IPv6": (
        _set(
            "Serving",
            "Group",
            SecurityGroupIngress=[{"IpProtocol": "-1", "CidrIpv6": "::/0"}],
        ),
        {"access.public BLOCK"},
    ),
    "ingress from two halves": (
        _set("Serving", "Group", SecurityGroupIngress=[_https("0.0.0.0/1"), _https("128.0.0.0/1")]),
        {"access.public BLOCK"},
    ),
    "ingress from everywhere apart": (
        _new(
            "Serving",
            "Ingress",
            {
                "Type": "AWS::EC2::SecurityGroupIngress",
                "Properties": {"GroupId": {"Fn::GetAtt": ["Group", "GroupId"]}, **_https("0.0.0.0/0")},
            },
        ),
        {"access.public BLOCK"},
    ),
    "ingress from everywhere, in one case": (
        _set("Serving", "Group", SecurityGroupIngress=_if([_https("0.0.0.0/0")], [_https("10.0.0.0/16")])),
        {"access.public BLOCK"},
    ),
    "ingress from a parameter": (
        _set("Serving", "Group", SecurityGroupIngress=[_https({"Ref": "Anything"})]),
        {"access.public BLOCK"},
    ),
    "ingress that cannot be read": (
        _set("Serving", "Group", SecurityGroupIngress=[{"Fn::Transform": {"Name": "AWS::Include"}}]),
        {"access.network REVIEW"},
    ),
    "ingress from another group": (
        _set(
            "Serving",
            "Group",
            SecurityGroupIngress=[
                _https("10.0.0.0/16"),
                {"IpProtocol": "tcp", "SourceSecurityGroupId": "sg-1"},
            ],
        ),
        {"access.network REVIEW"},
    ),
    "ingress from more": (
        _set("Serving", "Group", SecurityGroupIngress=[_https("10.0.0.0/8")]),
        {"access.network REVIEW"},
    ),
    "ingress on more ports": (
        _set("Serving", "Group", SecurityGroupIngress=[_https("10.0.0.0/16") | {"FromPort": 80}]),
        {"access.network REVIEW"},
    ),
    "ingress from less": (
        _set("Serving", "Group", SecurityGroupIngress=[_https("10.0.1.0/24")]),
        {"access.narrower ROUTINE"},
    ),
    "ingress described": (
        _set("Serving", "Group", SecurityGroupIngress=[_https("10.0.0.0/16") | {"Description": "d"}]),
        {"form.policy NOISE"},
    ),
    "egress to everywhere": (
        _set("Serving", "Group", SecurityGroupEgress=[_https("0.0.0.0/0")]),
        {"access.network REVIEW"},
    ),
    "group deleted": (_gone("Serving", "Group"), {"access.narrower ROUTINE"}),
    "egress without rules": (_unset("Serving", "Group", "SecurityGroupEgress"), {"access.network REVIEW"}),
}
