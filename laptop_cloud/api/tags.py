"""Tags of the resources of one account."""

from __future__ import annotations

from laptop_cloud.api.service import Params, invalid


class Tags:
    """Tags by resource ARN, and the three operations on them.

    Each stage puts tags on its resources, and CloudFormation changes them in place.
    """

    def __init__(self) -> None:
        """Start without resources."""
        self._by_arn: dict[str, dict[str, str]] = {}

    def start(self, arn: str, tags: list[dict[str, str]]) -> None:
        """Add a new resource with the tags of its Create request."""
        self._by_arn[arn] = {tag["Key"]: tag["Value"] for tag in tags}

    def remove(self, arn: str) -> Params:
        """Remove a deleted resource; return the empty response of the Delete operation."""
        self._by_arn.pop(arn, None)
        return {}

    def add(self, params: Params) -> Params:
        """Run AddTags."""
        self._of(params).update({tag["Key"]: tag["Value"] for tag in params["Tags"]})
        return self.list(params)

    def list(self, params: Params) -> Params:
        """Run ListTags."""
        return {"Tags": [{"Key": key, "Value": value} for key, value in self._of(params).items()]}

    def delete(self, params: Params) -> Params:
        """Run DeleteTags."""
        for key in params["TagKeys"]:
            self._of(params).pop(key, None)
        return {}

    def _of(self, params: Params) -> dict[str, str]:
        arn: str = params["ResourceArn"]
        if arn not in self._by_arn:
            raise invalid(f'Could not find resource "{arn}".')
        return self._by_arn[arn]
