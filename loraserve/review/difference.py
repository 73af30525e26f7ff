"""A difference between two assemblies, the unit that findings explain."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

#: A value of a template, manifest or facts file, as `json.loads` returns it; None where it is absent.
Json = Any


class Kind(Enum):
    """The part of an assembly that differs."""

    STAGE = "stage"
    """A stage that only one side has."""
    STACK = "stack"
    """A stack that only one side has."""
    DEPLOYMENT = "deployment"
    """A setting of a stack outside its template: `account`, `region`, `stackName`, `terminationProtection`,
    `tags`, `dependencies`."""
    RESOURCE = "resource"
    """A resource that only one side has."""
    PROPERTY = "property"
    """A property of a resource that both sides have."""
    ATTRIBUTE = "attribute"
    """A resource's attribute beside its properties: `DeletionPolicy`, `DependsOn`, `Metadata`, …"""
    SECTION = "section"
    """An entry of another section of a template: an output, a parameter, a condition, …"""
    FACT = "fact"
    """A value of a stage's facts (`stacks.facts`)."""
    TOOLING = "tooling"
    """A package's version, or a feature flag of cdk.json."""


class Impact(Enum):
    """CloudFormation's action on the resource, by AWS's resource specification."""

    NONE = "none"
    UPDATE = "update"
    MAY_REPLACE = "may replace"
    REPLACE = "replace"
    CREATE = "create"
    ORPHAN = "orphan"
    """Leaves the stack and stays in the account: `DeletionPolicy: Retain`."""
    DESTROY = "destroy"


#: Impacts after which the resource is another one.
REPLACING = (Impact.REPLACE, Impact.MAY_REPLACE)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One thing that differs. Two differences are equal if they are about the same thing."""

    kind: Kind
    stage: str
    """Id of the stage, e.g. `Prod`; empty for what all stages share (`Kind.TOOLING`)."""
    stack: str = ""
    """Name of the stack within the stage, e.g. `Serving`."""
    subject: str = ""
    """Logical id of a resource; `Section/entry`; dotted path of a fact; name of a package or flag."""
    type: str = ""
    """CloudFormation type of the resource, e.g. `AWS::S3::Bucket`; of a replaced type, the new one."""
    name: str = ""
    """Name of the property, attribute or setting."""
    before: Json = field(default=None, compare=False)
    """Its value on the base; a whole resource has `Type` and `Properties`."""
    after: Json = field(default=None, compare=False)
    impact: Impact = field(default=Impact.UPDATE, compare=False)
