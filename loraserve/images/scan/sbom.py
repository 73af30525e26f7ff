"""Bill of materials of an image: CycloneDX 1.6 as JSON. Equal layers have equal files, byte for byte.

Each component says whether this project adds it or the base image has it, and in which layer. The qualifiers
`upstream` and `distro` of Debian's packages, and the properties of Trivy, are those by which Grype and Trivy
find the source package, which Debian's and Ubuntu's advisories are about.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime

from cyclonedx.model import Property
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL

from loraserve.images.scan.contents import ImageContents
from loraserve.images.scan.packages import ImagePackage

#: Prefix of this project's properties.
PROPERTY = "lora-serving:"
_TRIVY = "aquasecurity:trivy:"


def sbom_text(contents: ImageContents) -> str:
    """Return the bill of materials.

    The serial number is made from the image's layers, and the date is the image's own, 1970-01-01 for
    reproducible builds. The image's id is not used: buildah's differs between two builds with equal layers.
    """
    image = contents.image
    created = datetime.fromisoformat(str(image.configuration.get("created", "1970-01-01T00:00:00Z")))
    bom = Bom(
        serial_number=uuid.uuid5(uuid.NAMESPACE_URL, " ".join((contents.name, *image.diff_ids))),
        metadata=BomMetaData(timestamp=created, component=_image(contents)),
        components=[*_operating_system(contents), *_packages(contents)],
    )
    bom.register_dependency(_image(contents), bom.components)
    text: str = make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string(indent=1)
    return text + "\n"


def _image(contents: ImageContents) -> Component:
    layers = (
        Property(name=f"{PROPERTY}layer:{index:03}", value=f"{_owner(index, contents)} {diff_id}")
        for index, diff_id in enumerate(contents.image.diff_ids)
    )
    return Component(
        type=ComponentType.CONTAINER,
        name=contents.name,
        bom_ref="image",
        properties=[Property(name=f"{PROPERTY}base", value=contents.base), *layers],
    )


def _operating_system(contents: ImageContents) -> Iterator[Component]:
    found = contents.distribution
    if found is not None:
        yield Component(
            type=ComponentType.OPERATING_SYSTEM,
            name=found.id,
            version=found.version,
            bom_ref="operating-system",
        )


def _packages(contents: ImageContents) -> Iterator[Component]:
    for package, index in contents.packages.items():
        yield Component(
            type=ComponentType.LIBRARY,
            name=package.name,
            version=package.version,
            # A package can be there twice, e.g. in conda and in another Python.
            bom_ref=f"{package.purl}#{package.path}",
            purl=PackageURL.from_string(package.purl),
            cpe=_cpe(package),
            properties=[
                Property(name=f"{PROPERTY}from", value=_owner(index, contents)),
                Property(name=f"{PROPERTY}layer", value=contents.image.diff_ids[index]),
                Property(name=f"{PROPERTY}path", value=f"/{package.path}"),
                *(Property(name=name, value=value) for name, value in _source(package).items()),
            ],
        )


def _cpe(package: ImagePackage) -> str | None:
    """Return the name in NVD's list of a Python without a package manager: Grype finds it by this one."""
    if package.kind != "generic":
        return None
    return f"cpe:2.3:a:{package.name}:{package.name}:{package.version}:*:*:*:*:*:*:*"


def _source(package: ImagePackage) -> Mapping[str, str]:
    if package.source is None:
        return {}
    name, version = package.source
    return {f"{_TRIVY}SrcName": name, f"{_TRIVY}SrcVersion": version}


def _owner(index: int, contents: ImageContents) -> str:
    return "project" if contents.is_added(index) else "base"
