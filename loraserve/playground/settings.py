"""Settings of a page: the endpoint, its store and its containers, as one JSON argument."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True, kw_only=True)
class PageSettings:
    """Settings of one page. Credentials are not among them: boto3 finds them in the environment."""

    endpoint: str
    """The endpoint's name in SageMaker."""
    port: int
    """Port of 127.0.0.1 that the page listens on."""
    region: str | None = None
    """Region of the endpoint; None: boto3's."""
    adapter_affine: bool = False
    """True if the endpoint's routing is `adapter_affine`."""
    bucket: str | None = None
    """Bucket with the registry of adapters; None: names are typed."""
    containers: tuple[str, ...] = ()
    """URLs of the endpoint's containers, where they can be reached: not in AWS."""

    def to_json(self) -> str:
        """Return the settings as an argument."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> PageSettings:
        """Read the argument of `to_json`."""
        read = json.loads(text)
        return cls(**read | {"containers": tuple(read["containers"])})
