from pathlib import Path

import pytest

from stacks.sizing.cost_estimate import PRICES, BilledUsage, Estimate, estimate, load_prices
from stacks.typed_yaml import ConfigError


def of(**changes: object) -> Estimate | None:
    arguments: dict[str, object] = {
        "instance_type": "ml.g5.xlarge",
        "region": "us-east-1",
        "minimum": 1,
        "expected": 2,
        "maximum": 4,
        "storage_gb": 100,
        "rollout_instances": 1,
    }
    return estimate(BilledUsage(**(arguments | changes)))  # type: ignore[arg-type]


def test_an_instance_that_runs_all_month_costs_its_price_730_times() -> None:
    found = of(storage_gb=0)
    assert found is not None
    assert (found.minimum, found.expected, found.maximum) == pytest.approx((1027.84, 2055.68, 4111.36))
    assert found.rollout_hour == pytest.approx(1.408)


def test_what_stands_beside_the_instances_is_added_to_each_sum() -> None:
    found = of(kms_keys=1, custom_metrics=100, alarms=5, dashboards=1)
    assert found is not None
    assert found.fixed == pytest.approx(2.3 + 1 + 30 + 0.5 + 3)
    assert found.minimum == pytest.approx(1027.84 + found.fixed)


def test_a_network_costs_its_hours() -> None:
    found = of(storage_gb=0, nat_gateways=1, public_addresses=1, interface_endpoints=2)
    assert found is not None
    assert found.fixed == pytest.approx(32.85 + 3.65 + 14.60)
    assert found.table()[3:6] == [
        ("NAT gateways", "32.85"),
        ("interface endpoints", "14.60"),
        ("public IPv4 addresses", "3.65"),
    ]


def test_the_line_tells_counts_update_and_date_of_the_prices() -> None:
    found = of()
    assert found is not None
    assert found.one_line() == (
        "about USD per month: 1,030 at 1 instance, 2,058 at 2 instances, 4,114 at 4 instances; an update adds "
        f"1.41 per hour; on-demand prices of {load_prices().date}, ml.g5.xlarge in us-east-1"
    )


def test_a_number_of_instances_that_never_changes_is_told_once() -> None:
    found = of(expected=1, maximum=1, rollout_instances=0)
    assert found is not None
    assert "USD per month: 1,030 at 1 instance; on-demand" in found.one_line()


def test_the_table_has_a_row_for_all_that_costs_something() -> None:
    found = of(expected=1, maximum=1, alarms=2)
    assert found is not None
    assert found.table() == [
        ("1 × ml.g5.xlarge", "1,027.84"),
        ("storage (S3)", "2.30"),
        ("alarms", "0.20"),
        ("all at 1 instance", "1,030.34"),
        ("each hour of an update, 1 more", "1.41"),
    ]


@pytest.mark.parametrize("changes", [{"instance_type": "ml.p5.48xlarge"}, {"region": "eu-west-1"}])
def test_without_a_price_there_is_no_estimate(changes: dict[str, object]) -> None:
    assert of(**changes) is None


def test_instance_counts_must_be_in_order() -> None:
    with pytest.raises(ValueError, match="instances must be minimum ≤ expected ≤ maximum, not 3, 2, 4"):
        of(minimum=3)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("alarm_month: 0.10", "alarm_mnth: 0.10", r"regions\.us-east-1\.alarm_month: missing"),
        ("alarm_month: 0.10", "alarm_month: 0.10\n    extra: 1", r"regions\.us-east-1\.extra: unknown key; valid: instance_hour"),
        ("ml.g5.xlarge: 1.408", "ml.g5.xlarge: free", r"instance_hour\.ml\.g5\.xlarge: 'free': write a number above 0"),
        ("ml.g5.xlarge: 1.408", "ml.g5.xlarge: -1", r"instance_hour\.ml\.g5\.xlarge: -1: write a number above 0"),
        ("ml.g5.xlarge: 1.408", "ml.g5.xlarge: '1.4'", r"instance_hour\.ml\.g5\.xlarge: '1.4': write it without quotes"),
        ('date: "2026-11"', "date: soon", r"date: 'soon': write year and month, e.g. 2026-01"),
        ('date: "2026-11"', "date: [", r"line 4: not YAML: "),
        ('date: "2026-11"', "date: soon\ndate: later", r"line 4: 'date' is there twice, first in line 3"),
    ],
)  # fmt: skip
def test_a_damaged_table_is_told_in_one_line_with_file_and_key(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    path = tmp_path / "prices.yaml"
    text = PRICES.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(ConfigError, match=message) as caught:
        load_prices(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
