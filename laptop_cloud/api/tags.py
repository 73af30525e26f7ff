"""Tags of the resources of one place."""

from __future__ import annotations

from laptop_cloud.api.service import Params, invalid


class Tags:
    """Tags by resource ARN, and the three operations on them."""

    def __init__(self) -> None:
        """No resources yet."""
        self._by_arn: dict[str, dict[str, str]] = {}

    def start(self, arn: str, tags: list[dict[str, str]]) -> None:
        """Remember a new resource with the tags that it was created with."""
        self._by_arn[arn] = {tag["Key"]: tag["Value"] for tag in tags}

    def forget(self, arn: str) -> Params:
        """Drop a resource that is gone; the answer to the call that deleted it is empty."""
        self._by_arn.pop(arn, None)
        return {}

    def add(self, params: Params) -> Params:
        """AddTags."""
        self._of(params).update({tag["Key"]: tag["Value"] for tag in params["Tags"]})
        return self.list(params)

    def list(self, params: Params) -> Params:
        """ListTags."""
        return {"Tags": [{"Key": key, "Value": value} for key, value in self._of(params).items()]}

    def delete(self, params: Params) -> Params:
        """DeleteTags."""
        for key in params["TagKeys"]:
            self._of(params).pop(key, None)
        return {}

    def _of(self, params: Params) -> dict[str, str]:
        arn: str = params["ResourceArn"]
        if arn not in self._by_arn:
            raise invalid(f'Could not find resource "{arn}".')
        return self._by_arn[arn]
