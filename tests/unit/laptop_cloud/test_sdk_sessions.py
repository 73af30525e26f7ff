"""Sessions of one process."""

from laptop_cloud.sdk_sessions import new_session


def test_sessions_share_the_parsed_models() -> None:
    one, other = (new_session().get_component("data_loader") for _ in range(2))
    model = one.load_service_model("sagemaker-runtime", "service-2")
    assert other.load_service_model("sagemaker-runtime", "service-2") is model
