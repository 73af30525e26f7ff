"""The bill of materials: valid, equal for equal images, and with the origin of each package."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cyclonedx.schema
import pytest
from jsonschema import Draft7Validator
from referencing import Registry, Resource

from loraserve.images.scan.contents import NotScanned, read_contents
from loraserve.images.scan.sbom import sbom_text
from tests.unit.loraserve.images.scan.saved_image import ADDED, BASE, layer, python_package, store

#: The schemas of CycloneDX, which come with its library.
SCHEMAS = Path(cyclonedx.schema.__file__).parent / "_res"


@pytest.fixture
def document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(sbom_text(read_contents(store(), "image:1", "base:1")))
    return found


def properties(component: dict[str, Any]) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in component["properties"]}


def schema_errors(text: str) -> list[str]:
    """Return the violations of the schema of CycloneDX 1.6."""
    schemas = {file.name: json.loads(file.read_text()) for file in SCHEMAS.glob("*.SNAPSHOT.schema.json")}
    resources = [(schema["$id"], Resource.from_contents(schema)) for schema in schemas.values()]
    registry: Registry[Any] = Registry().with_resources(resources)
    validator = Draft7Validator(schemas["bom-1.6.SNAPSHOT.schema.json"], registry=registry)
    return [error.message for error in validator.iter_errors(json.loads(text))]


def test_it_is_valid_against_the_schema_of_cyclonedx(document: dict[str, Any]) -> None:
    assert schema_errors(json.dumps(document)) == []
    del document["specVersion"]
    assert schema_errors(json.dumps(document)) == ["'specVersion' is a required property"]


def test_each_package_says_who_adds_it_and_in_which_layer(document: dict[str, Any]) -> None:
    base = [layer(files) for files in BASE]
    digests = dict(zip([*base, layer(ADDED)], store().diff_ids("image:1"), strict=True))
    found = {
        f"{component['name']} {component['version']}": (
            properties(component)["lora-serving:from"],
            properties(component)["lora-serving:layer"],
        )
        for component in document["components"]
        if component["type"] == "library"
    }
    assert found == {
        "libc6 2.36-9+b1": ("base", digests[base[0]]),
        "login 1:4.13+dfsg1-1": ("base", digests[base[0]]),
        "pip 23.0.1": ("base", digests[base[1]]),
        "urllib3 2.8.0": ("project", digests[layer(ADDED)]),
        "lora-serving-sagemaker 0.1.0": ("project", digests[layer(ADDED)]),
    }


def test_it_names_the_image_its_layers_and_its_distribution(document: dict[str, Any]) -> None:
    image = document["metadata"]["component"]
    assert (image["type"], image["name"]) == ("container", "image:1")
    assert properties(image)["lora-serving:base"] == "base:1"
    layers = [value for name, value in properties(image).items() if name.startswith("lora-serving:layer:")]
    assert layers == [f"{owner} {digest}" for owner, digest in
                      zip(["base", "base", "project"], store().diff_ids("image:1"), strict=True)]  # fmt: skip
    [system] = [found for found in document["components"] if found["type"] == "operating-system"]
    assert (system["name"], system["version"]) == ("debian", "12")
    assert document["metadata"]["timestamp"] == "1970-01-01T00:00:00+00:00"


def test_a_debian_package_names_its_source_for_trivy(document: dict[str, Any]) -> None:
    [libc] = [found for found in document["components"] if found["name"] == "libc6"]
    assert properties(libc)["aquasecurity:trivy:SrcName"] == "glibc"
    assert properties(libc)["aquasecurity:trivy:SrcVersion"] == "2.36-9"


def test_equal_layers_have_equal_files() -> None:
    contents = read_contents(store(), "image:1", "base:1")
    # buildah writes a random name of the build's container to the configuration.
    rebuilt = replace(
        contents.image, id="sha256:1", configuration={**contents.image.configuration, "container": "x"}
    )
    texts = {sbom_text(contents), sbom_text(replace(contents, image=rebuilt))}
    assert len(texts) == 1
    changed = store()
    changed.images["image:1"].append(layer(python_package("more", "1")))
    assert sbom_text(read_contents(changed, "image:1", "base:1")) not in texts


@pytest.mark.parametrize(
    ("image", "base", "message"),
    [
        ("absent:1", "base:1", "absent:1 is not in buildah's store: run make images, with the same BASE"),
        (
            "image:1",
            "absent:1",
            "absent:1 is not in buildah's store, so it is not known what image:1 adds to it",
        ),
        (
            "image:1",
            "other:1",
            "image:1 was not built from other:1, as that is now: run make images, with the same BASE",
        ),
    ],
)
def test_an_image_that_cannot_be_read_is_not_scanned(image: str, base: str, message: str) -> None:
    with pytest.raises(NotScanned) as refused:
        read_contents(store(), image, base)
    assert message in str(refused.value)
