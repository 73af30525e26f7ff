"""The command `simulate-autoscaling`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from loraserve.cli.console import errors, output, report_interrupt, say
from loraserve.cli.options import AsJson, require_choice


def command(
    trace: Annotated[
        str,
        typer.Option(
            help="The requests: a file (Azure, BurstGPT, ServeGen, Mooncake, Bailian, a load test's JSON, "
            "captured/ of data capture), or synthetic:week,rate=20,days=7."
        ),
    ] = "synthetic:week",
    stage: Annotated[
        str | None, typer.Option(help="A stage of stages/: its policy, limits, instance and region.")
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(
            help="Policies beside the grid: default (5 requests in flight), stage, or files with the keys of "
            "`autoscaling`; separated by commas. By default the default, and the stage's if it has one."
        ),
    ] = None,
    metric: Annotated[
        str, typer.Option(help="Metrics of the grid: concurrent, invocations or both.")
    ] = "both",
    targets: Annotated[
        str | None,
        typer.Option(
            help="Targets of the grid, e.g. 5,10,20; none for no grid. By default 0.2 to 0.8 times what an "
            "instance carries within the SLO."
        ),
    ] = None,
    out_cooldown: Annotated[str, typer.Option(help="Seconds after adding instances, e.g. 60,300.")] = "300",
    in_cooldown: Annotated[str, typer.Option(help="Seconds after removing some, e.g. 600,1800.")] = "600",
    min_instances: Annotated[
        int | None, typer.Option("--min", min=1, help="Fewest instances; by default the stage's, or 1.")
    ] = None,
    max_instances: Annotated[
        int | None, typer.Option("--max", min=1, help="Most instances; by default the stage's, or 40.")
    ] = None,
    instances: Annotated[
        int | None, typer.Option(min=1, help="Instances at the beginning; by default the fewest.")
    ] = None,
    start_seconds: Annotated[
        str, typer.Option(help="From a decision until an instance serves: 330 or lognormal:330,0.3.")
    ] = "330",
    high_datapoints: Annotated[
        int | None,
        typer.Option(min=1, help="Periods above the target before instances are added; by default 3."),
    ] = None,
    slo: Annotated[str, typer.Option(help="A request above it is a miss: e2e=4s.")] = "e2e=4s",
    instance_model: Annotated[
        str | None,
        typer.Option(
            help="Latency by the requests in flight: plan (with --stage), the JSON file of a load test, or "
            "SECONDS,SECONDS_PER_REQUEST[,MOST_AT_ONCE]. By default plan with a stage, else 2.06,0.037."
        ),
    ] = None,
    instance_type: Annotated[
        str | None, typer.Option("--instance", help="Instance type, for its price; by default the stage's.")
    ] = None,
    region: Annotated[str | None, typer.Option(help="Region, for the price; by default the stage's.")] = None,
    scale: Annotated[float, typer.Option(help="Multiply the trace's rate, e.g. 4.")] = 1.0,
    warm_up: Annotated[
        str, typer.Option(help="Time at the beginning that does not count: 20m, 90s.")
    ] = "20m",
    cold_adapter_seconds: Annotated[
        float | None,
        typer.Option(min=0, help="Load an adapter in this time on an instance without it; by default never."),
    ] = None,
    adapter_slots: Annotated[int, typer.Option(min=1, help="Adapters that an instance keeps.")] = 64,
    goal: Annotated[
        float, typer.Option(min=0, max=100, help="Misses in percent that need no better policy.")
    ] = 0.1,
    budget: Annotated[
        float | None, typer.Option(min=0, help="USD a month: the fewest misses for it, instead of the goal.")
    ] = None,
    mode: Annotated[
        str,
        typer.Option(help="events: each request; fluid: steps of a second; auto: events up to 2 million."),
    ] = "auto",
    seed: Annotated[int, typer.Option(min=0, help="Seed of what is drawn.")] = 0,
    as_json: AsJson = False,
    plot: Annotated[Path | None, typer.Option(help="Folder for pictures.")] = None,
) -> None:
    """Simulate autoscaling policies on a trace: misses of the SLO against cost.

    The default policy, a stage's and a grid of targets are compared on the same requests. Alarms, delays and
    cooldowns are those of Application Auto Scaling; docs/autoscaling.md has the model and its limits. Each
    input and result says whether it is computed, measured or assumed. Nothing is sent to AWS.

    Exit codes: 0 success; 2 an option, trace or policy that cannot be used.

    Example: make simulate ARGS="--trace synthetic:week,rate=20 --plot pictures"

    Example: python -m loraserve simulate-autoscaling --stage prod --slo e2e=20s
    """
    from loraserve.progress import step
    from loraserve.simulation import options
    from loraserve.simulation.comparison import ColdLoads, recommend, simulate
    from loraserve.simulation.instance_model import ARTICLE, parse_instance_model
    from loraserve.simulation.policies import METRIC_WORDS, grid
    from loraserve.simulation.report import report
    from loraserve.simulation.result import SimulationResult
    from loraserve.simulation.result import as_json as document
    from loraserve.simulation.scenario import ScalingScenario
    from loraserve.simulation.simulated_traffic import parse_traffic
    from loraserve.simulation.start_times import parse_start_times
    from stacks.config.loading import load_stages
    from stacks.project import ROOT

    require_choice("--metric", metric, (*METRIC_WORDS, "both"))
    require_choice("--mode", mode, ("auto", *options.MODES))
    loaded = None if stage is None else load_stages(ROOT / "stages", stage)[0]
    limits = options.limits_of(loaded, min_instances, max_instances)
    out_s = options.cooldowns("--out-cooldown", out_cooldown)
    in_s = options.cooldowns("--in-cooldown", in_cooldown)
    slo_s = options.slo_s(slo)
    traffic = parse_traffic(trace, scale, seed)
    text = instance_model or (ARTICLE if loaded is None else "plan")
    model = parse_instance_model(text, loaded, traffic.mean_tokens)
    names = policy or options.default_names(loaded)
    policies = options.named_policies(names, loaded, limits, (out_s[0], in_s[0]))
    if targets != "none":
        policies += grid(
            [METRIC_WORDS[metric]] if metric in METRIC_WORDS else list(METRIC_WORDS.values()),
            [] if targets is None else options.numbers("--targets", targets),
            limits=limits,
            out_cooldowns_s=out_s,
            in_cooldowns_s=in_s,
            latency=model.latency,
            slo_s=slo_s,
        )
    if high_datapoints is not None:
        policies = [each.with_high_periods(high_datapoints) for each in policies]
    scenario = ScalingScenario(
        latency=model.latency,
        slo_s=slo_s,
        duration_s=traffic.duration_s,
        warm_up_s=options.duration_s("--warm-up", warm_up),
        instances=instances,
        starts=parse_start_times(start_seconds),
        seed=seed,
    )
    options.check_warm_up(scenario)
    price = options.price_of(loaded, instance_type, region)
    chosen = options.mode_of(mode, traffic, len(policies))
    cold = None if cold_adapter_seconds is None else ColdLoads(cold_adapter_seconds, adapter_slots)
    with report_interrupt("nothing was changed"):
        with step(errors, f"simulate {len(policies)} policies") as progress:
            task = progress.add_task("  time", total=1.0)
            outcomes = simulate(
                traffic,
                policies,
                scenario,
                chosen,
                cold=cold,
                advance=lambda share: progress.advance(task, share),
            )
        hour_usd = None if price is None else price.hour_usd
        result = SimulationResult(
            trace=trace if scale == 1 else f"{trace} × {scale:g}",
            requests=traffic.requests,
            mode=chosen,
            model=model,
            scenario=scenario,
            price=price,
            outcomes=tuple(outcomes),
            recommendation=recommend(outcomes, goal=goal / 100, hour_usd=hour_usd, budget_usd=budget),
        )
        if plot is not None:
            from loraserve.simulation.plots import write_plots

            for path in write_plots(result, traffic.arrivals(), plot):
                say(f"wrote {path}")
        if as_json:
            typer.echo(document(result))
        else:
            report(output(), result)
