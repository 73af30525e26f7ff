"""Texts of `simulate-autoscaling`'s options."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Final, get_args

from loraserve.durations import seconds_of
from loraserve.load.slo import parse_slo
from loraserve.simulation.comparison import Mode, choose_mode
from loraserve.simulation.errors import SimulationError
from loraserve.simulation.policies import DEFAULT_NAME, default_policy, policy_of, read_policy
from loraserve.simulation.result import InstancePrice
from loraserve.simulation.scaling_candidate import ScalingCandidate
from loraserve.simulation.scenario import ScalingScenario
from loraserve.simulation.simulated_traffic import SimulatedTraffic
from stacks.config.scaling_target import TargetNotDerived, scaling_target, typical_service
from stacks.config.stage_config import LoadedStage
from stacks.sizing.cost_estimate import load_prices

#: Limits without a stage; 40 instances carry all that the examples of docs/autoscaling.md ask for.
DEFAULT_LIMITS: Final = (1, 40)
#: Instance and region of the price without a stage: the article's (README.md).
DEFAULT_INSTANCE: Final = "ml.g5.xlarge"
DEFAULT_REGION: Final = "us-east-1"
#: The SLO without a stage, in seconds: assumed, about one and a half times the article's 2.8 s.
DEFAULT_SLO_S: Final = 4.0
#: Modes of a simulation.
MODES: Final[tuple[Mode, ...]] = get_args(Mode)


def numbers(option: str, text: str) -> list[float]:
    """Return the numbers of `5,10,20`.

    Raises:
        SimulationError: it is another text, or a number is not above 0.
    """
    if re.fullmatch(r"\d+(\.\d+)?(,\d+(\.\d+)?)*", text) is None:
        raise SimulationError(f"{option} {text!r}: give numbers, e.g. 5,10,20")
    found = [float(number) for number in text.split(",")]
    if 0 in found:
        raise SimulationError(f"{option} {text!r}: give numbers above 0")
    return found


def cooldowns(option: str, text: str) -> list[float]:
    """Return the seconds of `60,300`; 0 is no cooldown.

    Raises:
        SimulationError: it is another text.
    """
    if re.fullmatch(r"\d+(,\d+)*", text) is None:
        raise SimulationError(f"{option} {text!r}: give whole seconds, e.g. 60,300")
    return [float(number) for number in text.split(",")]


def duration_s(option: str, text: str) -> float:
    """Return the seconds of `90s`, `20m` or `1h`.

    Raises:
        SimulationError: it is another text.
    """
    seconds = seconds_of(text)
    if seconds is None:
        raise SimulationError(f"{option} {text!r}: give a time, e.g. 20m or 90s")
    return seconds


def slo_s(text: str | None, stage: LoadedStage | None) -> float:
    """Return the bound of the whole answer in `e2e=4s`; None is that of the stage's derived target.

    Raises:
        SloError: it is no SLO.
        SimulationError: it has another bound, or none: the simulator knows the latency of whole answers; or
            the stage has no SLO, and none can be derived.
    """
    if text is None:
        return DEFAULT_SLO_S if stage is None else _stage_slo_s(stage)
    slo = parse_slo(text)
    if slo.e2e_s is None or slo.ttft_s is not None or slo.itl_s is not None:
        raise SimulationError(f"--slo {text!r}: whole answers are simulated; give their bound, e.g. e2e=4s")
    return slo.e2e_s


def _stage_slo_s(stage: LoadedStage) -> float:
    given = stage.config.autoscaling.slo_seconds
    if given is not None:
        return given
    try:
        return typical_service(stage.config, stage.local_model).slo_s
    except TargetNotDerived:
        raise SimulationError(
            f"stage {stage.name} has no SLO, and its latency cannot be computed: give one, e.g. --slo e2e=4s"
        ) from None


def mode_of(text: str, traffic: SimulatedTraffic, policies: int) -> Mode:
    """Return the mode of that name; of any other, such as `auto`, the one that suits the traffic."""
    return next((mode for mode in MODES if mode == text), choose_mode(traffic, policies))


def limits_of(stage: LoadedStage | None, least: int | None, most: int | None) -> tuple[int, int]:
    """Return the fewest and most instances: of the options, the stage, or `DEFAULT_LIMITS`.

    Raises:
        SimulationError: the fewest are more than the most.
    """
    low, high = DEFAULT_LIMITS
    if stage is not None:
        low, high = stage.config.autoscaling.min_instances, stage.config.autoscaling.max_instances
    low, high = low if least is None else least, high if most is None else most
    if low > high:
        raise SimulationError(f"--min {low} is above --max {high}: give a larger --max")
    return low, high


def default_names(stage: LoadedStage | None) -> str:
    """Return the policies for `named_policies` unless others are given."""
    scales = stage is not None and stage.config.autoscaling.enabled
    return f"{DEFAULT_NAME},stage" if scales else DEFAULT_NAME


def named_policies(
    text: str, stage: LoadedStage | None, limits: tuple[int, int], cooldowns_s: tuple[float, float]
) -> list[ScalingCandidate]:
    """Return the policies of `default,stage,FILE`; the default has these limits and cooldowns.

    Raises:
        SimulationError: a policy that there is not.
        ConfigError: a file with another content.
    """
    found = []
    for name in text.split(","):
        if name == DEFAULT_NAME:
            found.append(default_policy(limits, cooldowns_s))
        elif name == "stage":
            if stage is None:
                raise SimulationError("policy stage: give the stage, e.g. --stage prod")
            found.append(_stage_policy(stage))
        else:
            found.append(read_policy(Path(name)))
    return found


def _stage_policy(stage: LoadedStage) -> ScalingCandidate:
    name, section = f"stage {stage.name}", stage.config.autoscaling
    # A stage that does not scale needs no target, and may have none.
    target = scaling_target(stage.config, stage.local_model).value if section.enabled else math.nan
    return policy_of(name, section, target)


def price_of(
    stage: LoadedStage | None, instance_type: str | None, region: str | None
) -> InstancePrice | None:
    """Return the price of an instance; None if prices.yaml does not have that of a stage.

    Raises:
        SimulationError: an instance or region of the options, for which there is no price.
    """
    asked = instance_type is not None or region is not None
    if stage is not None:
        instance_type = instance_type or stage.config.endpoint.instance_type
        region = region or stage.config.region
    instance_type, region = instance_type or DEFAULT_INSTANCE, region or DEFAULT_REGION
    prices = load_prices()
    hour_usd = prices.instance_hour(region, instance_type)
    if hour_usd is None:
        if asked:
            raise SimulationError(
                f"prices.yaml has no price of {instance_type} in {region}: give another --instance or "
                "--region, or add the price to the file"
            )
        return None
    return InstancePrice(instance_type=instance_type, region=region, hour_usd=hour_usd, date=prices.date)


def check_warm_up(scenario: ScalingScenario) -> None:
    """Raise `SimulationError` if nothing is left after the warm-up."""
    if scenario.warm_up_s >= scenario.duration_s:
        raise SimulationError(
            f"--warm-up of {scenario.warm_up_s:g} s, and the trace has {scenario.duration_s:g} s: give a "
            "shorter one, e.g. 0s"
        )
