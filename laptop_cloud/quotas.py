"""Service Quotas: SageMaker's quotas of endpoint instances, as a new account has them.

Quotas are answered and not enforced: the laptop cloud has no instance types. Every default is 0, which is
what new accounts have of GPU types. A request for more stays PENDING, because in AWS its support grants it;
`grant` does that here.
"""

from __future__ import annotations

import hashlib
from typing import Final

from laptop_cloud.api.account import Account
from laptop_cloud.api.records import now
from laptop_cloud.api.service import Params, Service, ServiceError
from laptop_cloud.api.service_model import service_model

#: The API's default and maximum of MaxResults.
_PAGE: Final = 100
_CODE: Final = "sagemaker"
_SERVICE: Final = {"ServiceCode": _CODE, "ServiceName": "Amazon SageMaker"}


class ServiceQuotas(Service):
    """The quotas of one account and region."""

    def __init__(self, account: Account) -> None:
        """Start with the default of each instance type that SageMaker's API knows."""
        types = service_model("sagemaker").shape_for("ProductionVariantInstanceType").enum
        self._account = account
        self._names = {_code(name): name for name in (f"{kind} for endpoint usage" for kind in types)}
        self._granted: dict[str, float] = {}
        self._requests: list[Params] = []
        super().__init__(
            "service-quotas",
            {
                "ListAWSDefaultServiceQuotas": self._list_defaults,
                "ListServiceQuotas": self._list_applied,
                "GetAWSDefaultServiceQuota": lambda p: {"Quota": self._quota(self._known(p), 0.0)},
                "GetServiceQuota": self._get_applied,
                "RequestServiceQuotaIncrease": self._request,
                "ListRequestedServiceQuotaChangeHistoryByQuota": self._list_requests,
            },
        )

    def grant(self, name: str, value: float) -> None:
        """Set the account's own value of a quota, e.g. of `ml.g5.xlarge for endpoint usage`.

        Raises `ServiceError` for an unknown name.
        """
        code = _code(name)
        self._known({"ServiceCode": _CODE, "QuotaCode": code})
        self._granted[code] = value
        for request in self._requests:
            if request["QuotaCode"] == code and request["DesiredValue"] <= value:
                request.update(Status="APPROVED", LastUpdated=now())

    def _known(self, params: Params) -> str:
        """Return the code of a quota that exists. Raises `ServiceError`."""
        code: str = params["QuotaCode"]
        if params["ServiceCode"] != _CODE or code not in self._names:
            raise _missing(f"{params['ServiceCode']} has no quota {code}")
        return code

    def _get_applied(self, params: Params) -> Params:
        code = self._known(params)
        if code not in self._granted:
            raise _missing(f"the account has no applied value of {code}: its default applies")
        return {"Quota": self._quota(code, self._granted[code])}

    def _list_defaults(self, params: Params) -> Params:
        return _page(params, [self._quota(code, 0.0) for code in self._names], "Quotas")

    def _list_applied(self, params: Params) -> Params:
        found = [self._quota(code, value) for code, value in self._granted.items()]
        return _page(params, found, "Quotas")

    def _request(self, params: Params) -> Params:
        code = self._known(params)
        if params["DesiredValue"] <= self._granted.get(code, 0.0):
            raise ServiceError(
                "IllegalArgumentException",
                "You must provide a quota value greater than the current quota value",
            )
        if any(request["QuotaCode"] == code and request["Status"] == "PENDING" for request in self._requests):
            raise ServiceError("ResourceAlreadyExistsException", f"a request for {code} is open")
        request = {
            **self._identity(code),
            "Id": f"{code}-{len(self._requests)}",
            "DesiredValue": params["DesiredValue"],
            "Status": "PENDING",
            "Created": now(),
            "LastUpdated": now(),
        }
        self._requests.append(request)
        return {"RequestedQuota": request}

    def _list_requests(self, params: Params) -> Params:
        code = self._known(params)
        found = [request for request in reversed(self._requests) if request["QuotaCode"] == code]
        if "Status" in params:
            found = [request for request in found if request["Status"] == params["Status"]]
        return _page(params, found, "RequestedQuotas")

    def _quota(self, code: str, value: float) -> Params:
        return {**self._identity(code), "Value": value, "Adjustable": True}

    def _identity(self, code: str) -> Params:
        return {
            **_SERVICE,
            "QuotaArn": self._account.arn("servicequotas", f"{_CODE}/{code}"),
            "QuotaCode": code,
            "QuotaName": self._names[code],
            "Unit": "None",
            "GlobalQuota": False,
        }


def _code(name: str) -> str:
    """Return a code of AWS's form, `L-` and eight hexadecimal digits; it is not AWS's own."""
    return f"L-{hashlib.sha256(name.encode()).hexdigest()[:8].upper()}"


def _missing(message: str) -> ServiceError:
    return ServiceError("NoSuchResourceException", message)


def _page(params: Params, items: list[Params], member: str) -> Params:
    """Return a page of the items, and the token of the next one."""
    if params["ServiceCode"] != _CODE:
        raise _missing(f"the laptop cloud has no quotas of {params['ServiceCode']}")
    token = params.get("NextToken", "0")
    if not token.isdecimal():
        raise ServiceError("InvalidPaginationTokenException", f"NextToken {token!r} is not of this list")
    start = int(token)
    end = start + params.get("MaxResults", _PAGE)
    answer: Params = {member: items[start:end]}
    return answer | {"NextToken": str(end)} if end < len(items) else answer
