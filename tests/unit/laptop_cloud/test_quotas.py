"""Service Quotas of the laptop cloud."""

import pytest

from laptop_cloud.api.account import Account
from laptop_cloud.api.service import ServiceError
from laptop_cloud.api.service_model import service_model, violations
from laptop_cloud.quotas import ServiceQuotas

NAME = "ml.g5.xlarge for endpoint usage"


@pytest.fixture
def quotas() -> ServiceQuotas:
    return ServiceQuotas(Account("000000000000", "us-east-1"))


def code_of(quotas: ServiceQuotas) -> str:
    token: dict[str, str] = {}
    while True:
        page = quotas.call("ListAWSDefaultServiceQuotas", {"ServiceCode": "sagemaker", **token})
        assert len(page["Quotas"]) <= 100
        for quota in page["Quotas"]:
            if quota["QuotaName"] == NAME:
                return str(quota["QuotaCode"])
        token = {"NextToken": page["NextToken"]}


def test_a_new_account_has_no_value_of_its_own(quotas: ServiceQuotas) -> None:
    known = {"ServiceCode": "sagemaker", "QuotaCode": code_of(quotas)}
    with pytest.raises(ServiceError) as refused:
        quotas.call("GetServiceQuota", known)
    assert refused.value.code == "NoSuchResourceException"
    default = quotas.call("GetAWSDefaultServiceQuota", known)["Quota"]
    assert default["Value"] == 0 and default["QuotaName"] == NAME


def test_a_request_is_pending_until_the_quota_is_granted(quotas: ServiceQuotas) -> None:
    known = {"ServiceCode": "sagemaker", "QuotaCode": code_of(quotas)}
    quotas.call("RequestServiceQuotaIncrease", {**known, "DesiredValue": 4})
    with pytest.raises(ServiceError) as again:
        quotas.call("RequestServiceQuotaIncrease", {**known, "DesiredValue": 8})
    assert again.value.code == "ResourceAlreadyExistsException"
    history = "ListRequestedServiceQuotaChangeHistoryByQuota"
    assert [r["Status"] for r in quotas.call(history, known)["RequestedQuotas"]] == ["PENDING"]
    quotas.grant(NAME, 4)
    assert quotas.call("GetServiceQuota", known)["Quota"]["Value"] == 4
    assert [r["Status"] for r in quotas.call(history, known)["RequestedQuotas"]] == ["APPROVED"]
    assert len(quotas.call("ListServiceQuotas", {"ServiceCode": "sagemaker"})["Quotas"]) == 1


def test_answers_have_the_model_s_shape(quotas: ServiceQuotas) -> None:
    quotas.grant(NAME, 4)
    answer = quotas.call("ListServiceQuotas", {"ServiceCode": "sagemaker"})
    shape = service_model("service-quotas").operation_model("ListServiceQuotas").output_shape
    assert list(violations(shape, answer)) == []


def test_unknown_quotas(quotas: ServiceQuotas) -> None:
    with pytest.raises(ServiceError):
        quotas.grant("ml.g5.xlarge for training job usage", 1)
    with pytest.raises(ServiceError):
        quotas.call("ListServiceQuotas", {"ServiceCode": "ec2"})
