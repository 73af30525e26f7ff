"""A fleet whose instances cannot be made."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from laptop_cloud.containers.instance import InstanceFailed
from laptop_cloud.sagemaker.fleet import Fleet

CONFIG: dict[str, Any] = {"ProductionVariants": [{"VariantName": "Main", "ModelName": "m"}]}


class Unreachable:
    """A launcher whose registry does not answer."""

    async def resolve(self) -> Any:
        raise ReadTimeoutError(endpoint_url="http://127.0.0.1:9")


async def test_an_unexpected_error_of_the_launcher_is_the_instances_failure() -> None:
    """Anything else would leave the endpoint in Creating."""
    fleet = Fleet(CONFIG, {}, Unreachable(), set())  # type: ignore[arg-type]
    with pytest.raises(InstanceFailed, match=r"could not be made: ReadTimeoutError.*127\.0\.0\.1:9"):
        await fleet.fit()
