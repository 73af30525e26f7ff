"""The command `plan`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from loraserve.cli.console import output, say
from loraserve.cli.options import AsJson

#: The default of `gateway.answer_seconds`.
DEFAULT_SLO = "e2e=55s"


def command(
    stage: Annotated[str | None, typer.Option(help="Plan for a stage of stages/, e.g. dev.")] = None,
    model: Annotated[
        str | None, typer.Option(help="Without --stage: the base model's name on the Hub, or its directory.")
    ] = None,
    instance: Annotated[
        str | None, typer.Option(help="Instance type; by default the stage's, or ml.g5.xlarge.")
    ] = None,
    engine: Annotated[str | None, typer.Option(help="Engine: lorax or vllm; by default the stage's.")] = None,
    max_loras: Annotated[
        str,
        typer.Option(
            help="Adapters in memory to compare, e.g. 1,8,50; auto: powers of two, and all of them."
        ),
    ] = "auto",
    rank: Annotated[
        str | None, typer.Option(help="Ranks to compare, e.g. 16,8,64; the first is the configuration's.")
    ] = None,
    modules: Annotated[
        str | None, typer.Option(help="Modules that adapters change, e.g. q_proj,v_proj; all: every one.")
    ] = None,
    input_tokens: Annotated[
        int | None,
        typer.Option(
            "--input", min=1, help="Input tokens of a request; by default autoscaling.typical_input_tokens."
        ),
    ] = None,
    output_tokens: Annotated[
        int | None,
        typer.Option(
            "--output",
            min=1,
            help="Output tokens of a request; by default autoscaling.typical_output_tokens.",
        ),
    ] = None,
    trace: Annotated[
        Path | None,
        typer.Option(help="Take mean lengths and popularity from a trace, as load-test reads it."),
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option(min=1, help="Requests in flight on one instance; by default it is full.")
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(min=1e-6, max=1e6, help="Requests per second of the endpoint: how many instances?"),
    ] = None,
    adapters: Annotated[
        int | None,
        typer.Option(min=0, max=100_000, help="Different adapters; by default the stage's, or 50."),
    ] = None,
    popularity: Annotated[
        str, typer.Option(help="uniform, zipf:S or power:ALPHA. Measured at one provider: zipf:1.37.")
    ] = "zipf:1.0",
    quantize: Annotated[str | None, typer.Option(help="Quantization, by the engine's name for it.")] = None,
    slo: Annotated[
        str,
        typer.Option(
            help="Bounds of the latency, e.g. ttft=500ms,itl=50ms,e2e=4s; by default the gateway's."
        ),
    ] = DEFAULT_SLO,
    utilization: Annotated[
        float, typer.Option(min=0.01, max=1, help="Share of the throughput that is used, for the cost.")
    ] = 0.7,
    instances: Annotated[
        str | None, typer.Option(help="Compare instance types: all, or names with commas.")
    ] = None,
    engine_log: Annotated[
        Path | None, typer.Option(help="Log of the engine with these settings: its memory is taken from it.")
    ] = None,
    calibrate: Annotated[
        Path | None,
        typer.Option(
            help="Load test of one instance with these settings (its --json FILE): its times count."
        ),
    ] = None,
    as_json: AsJson = False,
    plot: Annotated[Path | None, typer.Option(help="Draw four pictures into this folder.")] = None,
) -> None:
    """Plan memory, throughput and cost of many adapters.

    No GPU is needed. It answers whether a bigger batch or more adapters in memory are worth more, and prints
    the best changes and the keys of the stage file. The memory is that of `make synth`'s check. Each figure
    is marked as computed, measured or assumed; docs/plan.md has the formulas and their checks.

    Exit codes: 0 a plan; 1 nothing fits; 2 an unusable option, stage file or measurement.

    Example: make plan STAGE=dev

    Example: python -m loraserve plan --model mistralai/Mistral-7B-Instruct-v0.1 --engine vllm --rank 16,8 \
--adapters 50 --input 2000 --output 500

    Example: python -m loraserve plan --stage dev --instances all --rate 20 --slo ttft=500ms,e2e=8s
    """
    from json import dumps

    from loraserve.load.slo import parse_slo
    from loraserve.plan.basis import start, with_settings, with_traffic
    from loraserve.plan.document import plan_document
    from loraserve.plan.measurements import read_measurements
    from loraserve.plan.numbers import instance_names, ranks_of, slots_of
    from loraserve.plan.planning import make_plan
    from loraserve.plan.plots import write_plots
    from loraserve.plan.question import DEFAULT_ADAPTERS, Load, PlanQuestion
    from loraserve.plan.text import plan_text
    from loraserve.plan.traffic import shares_of, traffic_of_trace
    from stacks.sizing.cost_estimate import load_prices
    from stacks.sizing.throughput import Traffic

    if concurrency is not None and rate is not None:
        raise typer.BadParameter("give one of them", param_hint="--concurrency, --rate")
    bounds, slots = parse_slo(slo), slots_of(max_loras)
    basis = start(stage, model, instance)
    demand = with_settings(basis.demand, engine=engine, quantize=quantize, modules=modules)
    count = (basis.adapters or DEFAULT_ADAPTERS) if adapters is None else adapters
    if trace is None:
        typical_input, typical_output = basis.typical_tokens
        traffic = Traffic(
            input_tokens=input_tokens or typical_input,
            output_tokens=output_tokens or typical_output,
            shares=shares_of(count, popularity),
        )
    else:
        traffic = traffic_of_trace(trace, count, popularity)
    ranks = ranks_of(rank, demand)
    demand = with_traffic(demand, traffic, rank=ranks[0], slots=slots, of_stage=stage is not None)
    question = PlanQuestion(
        model=basis.model,
        demand=demand,
        other_seqs=basis.other_seqs,
        traffic=traffic,
        slo=bounds,
        load=Load(concurrency=concurrency, rate=rate),
        utilization=utilization,
        region=basis.region,
        prices=load_prices(),
        sections=basis.sections,
        measurements=read_measurements(engine_log, calibrate, demand, basis.other_seqs, traffic),
    )
    plan = make_plan(question, slots=slots, ranks=ranks, instances=instance_names(instances, demand))
    if plot is not None:
        for path in write_plots(question, plot):
            say(f"wrote {path}")
    if as_json:
        typer.echo(dumps(plan_document(plan), indent=1, allow_nan=False))
    else:
        console = output()
        text = plan_text(plan, width=console.width)
        console.print(text, end="", soft_wrap=True, markup=False, highlight=False)
    if plan.chosen is None:
        raise typer.Exit(1)
