"""The policies to compare: the default, a stage's, those of files, and a grid of targets."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Final

from autoscaling.target_tracking import METRICS
from loraserve.simulation.errors import SimulationError
from loraserve.simulation.scaling_candidate import ScalingCandidate, scaling_candidate
from stacks.config.sections.autoscaling import Autoscaling
from stacks.sizing.throughput import LatencyModel, slo_concurrency
from stacks.typed_yaml import read

DEFAULT_NAME: Final = "default"
#: AWS's example for requests in flight (SageMaker AI's developer guide, "Define a scaling policy").
DEFAULT_TARGET: Final = 5.0
#: Words of `--metric`.
METRIC_WORDS: Final = {"concurrent": "concurrent_requests", "invocations": "invocations_per_instance"}
#: Targets of the grid, as shares of the requests in flight whose latency is at the SLO.
SLO_SHARES: Final = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)


def default_policy(limits: tuple[int, int], cooldowns_s: tuple[float, float]) -> ScalingCandidate:
    """Return the policy with AWS's example target."""
    return scaling_candidate(
        DEFAULT_NAME,
        "concurrent_requests",
        target=DEFAULT_TARGET,
        limits=limits,
        cooldowns_s=cooldowns_s,
    )


def policy_of(name: str, section: Autoscaling, target: float) -> ScalingCandidate:
    """Return the policy of a section `autoscaling`, with the target that counts for it.

    Raises:
        SimulationError: the section switches autoscaling off.
    """
    if not section.enabled:
        raise SimulationError(f"policy {name}: autoscaling.enabled is false; give another policy")
    return scaling_candidate(
        name,
        section.metric,
        target=target,
        limits=(section.min_instances, section.max_instances),
        cooldowns_s=(section.scale_out_cooldown_seconds, section.scale_in_cooldown_seconds),
        schedules=section.schedules,
    )


def read_policy(path: Path) -> ScalingCandidate:
    """Return the policy of a file with the keys of a stage's section `autoscaling`.

    Raises:
        SimulationError: there is no such file, or it switches autoscaling off or has no target.
        ConfigError: the file has another content.
    """
    if not path.is_file():
        raise SimulationError(
            f"policy {str(path)!r}: give default, stage, or a file with the keys of `autoscaling`"
        )
    section = read(path, Autoscaling)
    if section.target is None:
        raise SimulationError(f"policy {str(path)!r} has no target: write one, e.g. target: 20")
    return policy_of(path.stem, section, section.target)


def grid(
    metrics: Sequence[str],
    targets: Sequence[float],
    *,
    limits: tuple[int, int],
    out_cooldowns_s: Sequence[float],
    in_cooldowns_s: Sequence[float],
    latency: LatencyModel,
    slo_s: float,
) -> list[ScalingCandidate]:
    """Return a policy for each metric, target and pair of cooldowns.

    Args:
        metrics: keys of `METRICS`.
        targets: targets of each metric; empty: `SLO_SHARES` of the requests in flight that keep the SLO, and
            for invocations the requests per minute that an instance serves with as many.
        limits: fewest and most instances.
        out_cooldowns_s: cooldowns after a scale-out.
        in_cooldowns_s: cooldowns after a scale-in.
        latency: the instance.
        slo_s: the SLO.

    Raises:
        SimulationError: no target, and not even a single request in flight keeps the SLO.
    """
    found = []
    for metric in metrics:
        for target, *cooldowns in product(
            targets or derived_targets(metric, latency, slo_s), out_cooldowns_s, in_cooldowns_s
        ):
            out_s, in_s = cooldowns
            word = next(word for word, name in METRIC_WORDS.items() if name == metric)
            several = len(out_cooldowns_s) * len(in_cooldowns_s) > 1
            name = f"{word} {target:g}" + (f", {out_s:g}/{in_s:g} s" if several else "")
            found.append(
                scaling_candidate(name, metric, target=target, limits=limits, cooldowns_s=(out_s, in_s))
            )
    return found


def derived_targets(metric: str, latency: LatencyModel, slo_s: float) -> list[float]:
    """Return `SLO_SHARES` of the requests in flight at the SLO, as targets of a metric.

    Raises:
        SimulationError: not even a single request in flight keeps the SLO.
    """
    most = slo_concurrency(latency.seconds, slo_s, latency.max_in_flight)
    if most < 1:
        raise SimulationError(
            f"a request without others takes {latency.seconds(1):.2f} s, above the SLO of {slo_s:.4g} s: "
            "give a larger --slo"
        )
    in_flight = [max(1.0, float(round(share * most))) for share in SLO_SHARES]
    if metric == "concurrent_requests":
        targets = in_flight
    else:
        minute = METRICS[metric].period_s
        targets = [float(max(1, round(minute * count / latency.seconds(count)))) for count in in_flight]
    return list(dict.fromkeys(targets))
