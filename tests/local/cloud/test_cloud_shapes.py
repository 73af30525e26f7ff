"""Constraints of the service models are checked."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from botocore.model import Shape

from laptop_cloud.api.service import Service
from laptop_cloud.api.service_model import coerced, compiled, service_model, violations


def shapes_under(shape: Shape, seen: set[str]) -> Iterator[Shape]:
    if shape is None or shape.name in seen:
        return
    seen.add(shape.name)
    yield shape
    members = getattr(shape, "members", {}).values()
    inner = [getattr(shape, name, None) for name in ("member", "key", "value")]
    for each in [*members, *filter(None, inner)]:
        yield from shapes_under(each, seen)


@pytest.mark.parametrize(
    ("service", "operations"),
    [
        ("sagemaker", ("CreateModel", "CreateEndpointConfig", "CreateEndpoint", "UpdateEndpoint", "AddTags")),
        ("application-autoscaling", ("RegisterScalableTarget", "PutScalingPolicy", "PutScheduledAction")),
    ],
)
def test_every_pattern_of_the_models_is_one_that_python_reads(
    service: str, operations: tuple[str, ...]
) -> None:
    model = service_model(service)
    patterns = {
        shape.metadata["pattern"]
        for operation in operations
        for shape in shapes_under(model.operation_model(operation).input_shape, set())
        if "pattern" in shape.metadata
    }
    assert len(patterns) >= 3
    for pattern in patterns:
        compiled(pattern)


@pytest.mark.parametrize(
    ("pattern", "right", "wrong"),
    [
        (r"\p{Print}+", "any thing", "a\nb"),
        (r"([\p{L}\p{Z}\p{N}_.:/=+\-@]*)", "Größe: 3", "a#b"),
        (r"\A\S[\p{Print}]*\z", "id 1", " id"),
        (r"[\u0020-\uD7FF\uE000-\uFFFD\uD800\uDC00-\uDBFF\uDFFF\r\n\t]*", "a\t😀", "\x00"),
    ],
)
def test_a_pattern_means_what_it_means_in_java(pattern: str, right: str, wrong: str) -> None:
    assert compiled(pattern).fullmatch(right)
    assert not compiled(pattern).fullmatch(wrong)


def test_every_violation_is_named() -> None:
    shape = service_model("sagemaker").operation_model("CreateEndpointConfig").input_shape
    variant = {"VariantName": "a_b", "InitialInstanceCount": 0, "Speed": 1}
    found = list(violations(shape, {"ProductionVariants": [variant]}))
    assert len(found) == 4
    for parameter in ("EndpointConfigName", "VariantName", "InitialInstanceCount", "Speed"):
        assert any(parameter in sentence for sentence in found)


def test_a_templates_strings_become_what_the_service_wants() -> None:
    shape = service_model("sagemaker").operation_model("CreateEndpointConfig").input_shape
    variant = {
        "VariantName": 1,
        "InitialInstanceCount": "2",
        "InitialVariantWeight": "0.5",
        "EnableSSMAccess": "true",
    }
    typed = coerced(shape, {"ProductionVariants": [variant]})
    assert typed["ProductionVariants"][0] == {
        "VariantName": "1",
        "InitialInstanceCount": 2,
        "InitialVariantWeight": 0.5,
        "EnableSSMAccess": True,
    }


def test_a_string_that_is_no_number_is_left_for_check_to_name() -> None:
    shape = service_model("sagemaker").operation_model("CreateEndpointConfig").input_shape
    typed = coerced(shape, {"ProductionVariants": [{"InitialInstanceCount": "two"}]})
    assert any("InitialInstanceCount" in sentence for sentence in violations(shape, typed))


def test_a_body_that_is_not_json_is_refused() -> None:
    status, body = Service("sagemaker", {}).handle("CreateModel", b"{")
    assert status == 400
    assert b"SerializationException" in body
