"""CloudFormation's intrinsic functions as text, so that equal values are equal however they are written.

`{"Fn::Sub": "${Bucket.Arn}/*"}` and the `Fn::Join` of the same parts are both `<AdapterStore/Bucket.Arn>/*`.
What is known only at deployment is a placeholder in angle brackets.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from loraserve.review.assembly import Stack, Stage
from loraserve.review.difference import Json
from loraserve.review.values import mapping

#: The account and the region of the stack, also where a template has their literal values.
ACCOUNT = "<account>"
REGION = "<region>"
#: A property that `AWS::NoValue` takes away.
NO_VALUE = "<no value>"
_VARIABLE = re.compile(r"\$\{([^}]*)\}")
#: `Ref` and attributes that are a resource's ARN under another name; AWS's resource reference, "Return
#: values".
_ARN_BY_REF = {
    "AWS::SNS::Topic": ("Ref", "TopicArn"),
    "AWS::StepFunctions::StateMachine": ("Ref", "Arn"),
    "AWS::IAM::ManagedPolicy": ("Ref", "PolicyArn"),
    "AWS::SecretsManager::Secret": ("Ref", "Id"),
}
#: ARNs that a template may spell out around a resource's name.
_ARN_BY_NAME = {
    "AWS::S3::Bucket": "arn:{partition}:s3:::{name}",
    "AWS::KMS::Key": f"arn:{{partition}}:kms:{REGION}:{ACCOUNT}:key/{{name}}",
    "AWS::Lambda::Function": f"arn:{{partition}}:lambda:{REGION}:{ACCOUNT}:function:{{name}}",
}


class Resolver:
    """Resolves the intrinsic functions in the templates of one side of a stage."""

    def __init__(self, stage: Stage) -> None:
        """Index what the stage's stacks export."""
        self._stage = stage
        self._exports = {
            self._text(mapping(output["Export"]).get("Name"), stack): (stack, output.get("Value"))
            for stack in stage.stacks.values()
            for output in map(mapping, mapping(stack.template.get("Outputs")).values())
            if "Export" in output
        }
        self._arns = {
            template.format(partition=partition(stack), name=f"<{stack.name}/{logical_id}>"): (
                f"<{stack.name}/{logical_id}.Arn>"
            )
            for stack in stage.stacks.values()
            for logical_id, resource in stack.resources.items()
            if (template := _ARN_BY_NAME.get(resource["Type"]))
        }

    def resolve(self, value: Json, stack: Stack) -> Json:
        """Replace the intrinsic functions within `value`; `Fn::If` stays, with its values resolved."""
        if isinstance(value, str):
            return self._normal(_escaped(value), stack)
        if isinstance(value, list):
            items = [self.resolve(each, stack) for each in value]
            return [each for each in items if each != NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            (name, argument), *_ = value.items()
            if name == "Fn::If" and isinstance(argument, list) and len(argument) == 3:
                return {name: [argument[0], *(self.resolve(each, stack) for each in argument[1:])]}
            if name == "Ref" or name.startswith("Fn::"):
                found = self._function(name, argument, stack)
                return self._normal(found, stack) if isinstance(found, str) else found
        return {
            self._normal(_escaped(key), stack): resolved
            for key, each in value.items()
            if (resolved := self.resolve(each, stack)) != NO_VALUE
        }

    def text(self, value: Json, stack: Stack) -> str:
        """Resolve a value that is used as text."""
        return self._text(value, stack)

    def _text(self, value: Json, stack: Stack) -> str:
        found = self.resolve(value, stack)
        return found if isinstance(found, str) else _unresolved("", found)

    def _function(self, name: str, argument: Json, stack: Stack) -> Json:  # noqa: PLR0911, PLR0912
        """Return the value of a function, with nothing left to resolve."""
        match name, argument:
            case "Ref", str():
                return self._reference(argument, stack)
            case "Fn::GetAtt", str():
                return self._attribute(argument.partition(".")[0], argument.partition(".")[2], stack)
            case "Fn::GetAtt", [str(logical_id), str(attribute)]:
                return self._attribute(logical_id, attribute, stack)
            case "Fn::Join", [str(between), list(parts)]:
                return _escaped(between).join(self._text(each, stack) for each in parts)
            case "Fn::Sub", str():
                return self._substituted(argument, {}, stack)
            case "Fn::Sub", [str(template), dict(values)]:
                return self._substituted(template, values, stack)
            case "Fn::ImportValue", _:
                exported = self._exports.get(self._text(argument, stack))
                if exported is not None:
                    return self.resolve(exported[1], exported[0])
            case "Fn::GetStackOutput", {"StackName": named, "OutputName": str(output)}:
                return self._output(self._text(named, stack), output, argument, stack)
            case "Fn::Select", [int() | str() as index, list(values)] if str(index).isdecimal():
                if int(index) < len(values):
                    return self.resolve(values[int(index)], stack)
            case "Fn::FindInMap", [str(table), str(first), str(second)]:
                found = mapping(mapping(mapping(stack.template.get("Mappings")).get(table)).get(first)).get(
                    second
                )
                if found is not None:
                    return self.resolve(found, stack)
        return _unresolved(name, self.resolve(argument, stack))

    def _reference(self, name: str, stack: Stack) -> str:
        known = {
            "AWS::AccountId": ACCOUNT,
            "AWS::Region": REGION,
            "AWS::Partition": partition(stack),
            "AWS::URLSuffix": "amazonaws.com.cn" if partition(stack) == "aws-cn" else "amazonaws.com",
            "AWS::NoValue": NO_VALUE,
            "AWS::StackName": stack.stack_name,
        }
        if name in known:
            return known[name]
        parameters = mapping(stack.template.get("Parameters"))
        if name in parameters:
            # A deployment may set another value: only references to the same parameter are equal.
            return _unresolved("Parameter", [name, mapping(parameters[name]).get("Default")])
        return self._attribute(name, "Ref", stack)

    def _attribute(self, logical_id: str, attribute: str, stack: Stack) -> str:
        resource = stack.resources.get(logical_id)
        if resource is not None and attribute in _ARN_BY_REF.get(resource["Type"], ()):
            attribute = "Arn"
        suffix = "" if attribute == "Ref" else f".{attribute}"
        return f"<{stack.name}/{logical_id}{suffix}>"

    def _substituted(self, template: str, values: Mapping[str, Any], stack: Stack) -> str:
        parts = []
        end = 0
        for found in _VARIABLE.finditer(template):
            name = found[1]
            parts.append(_escaped(template[end : found.start()]))
            if name.startswith("!"):
                parts.append("${" + name[1:] + "}")
            elif name in values:
                parts.append(self._text(values[name], stack))
            elif "." in name:
                parts.append(self._attribute(name.partition(".")[0], name.partition(".")[2], stack))
            else:
                parts.append(self._reference(name, stack))
            end = found.end()
        return "".join([*parts, _escaped(template[end:])])

    def _output(self, named: str, output: str, argument: Json, stack: Stack) -> Json:
        """Return the value of another stack's output."""
        for each in self._stage.stacks.values():
            if each.stack_name == named and output in each.template.get("Outputs", {}):
                return self.resolve(each.template["Outputs"][output]["Value"], each)
        return _unresolved("Fn::GetStackOutput", self.resolve(argument, stack))

    def _normal(self, text: str, stack: Stack) -> str:
        """Write account, region and spelled out ARNs of the stage's resources in one way."""
        if stack.account.isdecimal():
            text = re.sub(rf"(?<![0-9]){stack.account}(?![0-9])", ACCOUNT, text)
        if re.fullmatch(r"[a-z]+(-[a-z]+)+-[0-9]", stack.region):
            text = re.sub(rf"(?<![A-Za-z0-9]){stack.region}(?![A-Za-z0-9])", REGION, text)
        if "<" in text:
            for spelled, arn in self._arns.items():
                text = text.replace(spelled, arn)
        return text


def partition(stack: Stack) -> str:
    """Return AWS's partition of the stack's region."""
    return next(
        (
            name
            for prefix, name in (("cn-", "aws-cn"), ("us-gov-", "aws-us-gov"))
            if stack.region.startswith(prefix)
        ),
        "aws",
    )


def _escaped(text: str) -> str:
    """Keep a literal bracket from being read as a placeholder."""
    return text.replace("<", "<lt;>") if "<" in text else text


def _unresolved(name: str, argument: Json) -> str:
    content = json.dumps([name, argument], sort_keys=True).replace("<", "(").replace(">", ")")
    return f"<{content}>"
