"""The command `load-test`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from loraserve.cli.console import errors, output
from loraserve.cli.options import Profile, require_choice

if TYPE_CHECKING:
    from loraserve.load.job import LoadJob
    from loraserve.load.measure import MeasuredRun
    from loraserve.load.requests import LoadRequests
    from loraserve.load.slo import LatencySlo
    from loraserve.runtime_access import RuntimeAccess

#: A sweep ends with the first rate whose goodput is below it.
SWEEP_GOODPUT = 0.9


def command(
    context: typer.Context,
    endpoint: Annotated[
        str,
        typer.Argument(help="A stage of stages/, `local` for the laptop cloud, or an endpoint's name."),
    ],
    rate: Annotated[float | None, typer.Option(min=0.001, help="Open loop: mean requests/s.")] = None,
    rates: Annotated[
        str, typer.Option(help="Sweep: a run for each rate, until goodput is below 90 %; e.g. 1,2,4.")
    ] = "",
    clients: Annotated[
        int | None,
        typer.Option(min=1, help="Closed loop of this many clients, which hides queueing; needs --requests."),
    ] = None,
    arrivals: Annotated[
        str, typer.Option(help="poisson, constant, gamma:CV, or trace:FILE with its own rate.")
    ] = "poisson",
    duration: Annotated[
        float | None, typer.Option(min=0.1, help="Seconds in which requests are due; 60 by default.")
    ] = None,
    requests: Annotated[
        str, typer.Option(metavar="N|FILE", help="Number of requests, or a file with each of them.")
    ] = "",
    adapters: Annotated[
        str, typer.Option(help="Names a,b, those of a stage @dev, or of a file @list.txt; none: base model.")
    ] = "",
    popularity: Annotated[
        str, typer.Option(help="uniform, zipf:S, power:ALPHA, or a file with lines adapter,weight.")
    ] = "zipf:1.0",
    base_share: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the requests for the base model.")
    ] = 0.0,
    input_tokens: Annotated[
        str, typer.Option("--input", help="Tokens of random prompts: fixed:N, uniform:A-B or trace.")
    ] = "fixed:60",
    output_tokens: Annotated[
        str, typer.Option("--output", help="Most tokens of answers: fixed:N, uniform:A-B or trace.")
    ] = "fixed:64",
    prompts: Annotated[
        str,
        typer.Option(
            metavar="FILE|@samples",
            help="JSON lines: adapter, prompt, expect or regex; @samples: problems of the sample adapters.",
        ),
    ] = "",
    ignore_eos: Annotated[
        bool | None,
        typer.Option(
            "--ignore-eos/--no-ignore-eos",
            help="Answers of exactly the output length; by default for random prompts.",
        ),
    ] = None,
    stream: Annotated[bool, typer.Option(help="Stream: needed for the first token's time.")] = True,
    slo: Annotated[str, typer.Option(help="Bounds of goodput, from due: ttft=500ms,itl=50ms,e2e=4s.")] = "",
    warm_up: Annotated[
        float, typer.Option(min=0, help="Seconds at the beginning whose requests do not count.")
    ] = 0.0,
    cores: Annotated[int, typer.Option(min=1, help="Processes that send.")] = 1,
    max_in_flight: Annotated[
        int | None,
        typer.Option(min=1, help="Withhold requests beyond it; the report counts them, the run is invalid."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all draws.")] = 0,
    json_file: Annotated[
        str, typer.Option("--json", metavar="FILE", help="Write all figures and requests; - : stdout.")
    ] = "",
    plot: Annotated[Path | None, typer.Option(metavar="DIR", help="Write pictures.", file_okay=False)] = None,
    export: Annotated[
        tuple[str, Path] | None,
        typer.Option(metavar="aiperf FILE.json", help="Write the requests for another tool; none is sent."),
    ] = None,
    endpoint_url: Annotated[str | None, typer.Option(help="URL of SageMaker's runtime API.")] = None,
    fail_under: Annotated[str, typer.Option(help="Exit with 1 if goodput is below, e.g. goodput=0.99.")] = "",
    region: Annotated[str | None, typer.Option(help="Region of an endpoint that is not a stage's.")] = None,
    profile: Profile = None,
) -> None:
    """Measure an endpoint under load; check each answer.

    Requests are due at times that are drawn before the run; latency counts from them, also for a request
    that had to wait. Exit codes: 0 success; 1 goodput below --fail-under, answers of a wrong adapter, or no
    answer; 2 an unusable argument; 3 invalid: the generator was late, too busy, or withheld requests; 130
    Ctrl-C, --json has the part until then.

    Example: python -m loraserve load-test dev --rate 4 --adapters @dev --slo ttft=500ms,itl=50ms
    """
    from loraserve.load.export import TOOLS, write_aiperf
    from loraserve.load.job import LoadJob
    from loraserve.load.measure import compared_with_base
    from loraserve.load.request_draw import RequestLaws
    from loraserve.load.request_source import request_source
    from loraserve.load.signing import endpoint_target
    from loraserve.load.slo import parse_fail_under, parse_slo
    from loraserve.progress import step
    from loraserve.runtime_access import endpoint_access

    require_choice("--export", export and export[0], TOOLS)
    if json_file not in ("", "-") and not Path(json_file).resolve().parent.is_dir():
        raise typer.BadParameter(f"{json_file}: create its folder first", param_hint="--json")
    rates_asked = _rates(rate, rates, clients, has_own_rate=arrivals.startswith("trace:"))
    if rates and fail_under:
        raise typer.BadParameter("is for one run: leave it out of a sweep", param_hint="--fail-under")
    bounds, least = parse_slo(slo), parse_fail_under(fail_under) if fail_under else 0.0
    laws = RequestLaws(
        popularity=popularity,
        base_share=base_share,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        stream=stream,
        ignore_eos=ignore_eos,
        seed=seed,
    )
    source = request_source(
        laws,
        arrivals=arrivals,
        adapters=adapters,
        prompts=prompts,
        requests=requests,
        duration_s=duration,
        is_closed=clients is not None,
    )
    if export is not None:
        write_aiperf(export[1], source.at(rates_asked[0]))
        errors.print(f"{export[1]} is for `aiperf profile --custom-dataset-type inputs_json --input-file …`")
        return
    access = endpoint_access(endpoint, profile=profile, region=region, endpoint_url=endpoint_url)
    affine = access.adapter_affine
    target = endpoint_target(access.runtime, access.endpoint, stream=stream, adapter_affine=affine)
    runs: list[tuple[float | None, MeasuredRun]] = []
    for per_second in rates_asked:
        drawn = replace(source.at(per_second), adapter_affine=access.adapter_affine)
        if warm_up and clients is None and warm_up > drawn.workload.duration_s:
            raise typer.BadParameter("no request is due after it: choose less", param_hint="--warm-up")
        job = LoadJob(
            target=target,
            workload=drawn.workload,
            bodies=drawn,
            mode="open" if clients is None else "closed",
            clients=clients or 1,
            max_in_flight=max_in_flight,
            warm_up_s=warm_up,
            duration_s=None if clients is None else duration,
            cores=cores,
            keep_text=drawn.expects_texts,
        )
        measured = _measured(access, job, drawn, bounds)
        runs.append((per_second, measured))
        if measured.run.interrupted or (rates and measured.summary.goodput < SWEEP_GOODPUT):
            break
    if not runs[-1][1].run.interrupted:
        plain = endpoint_target(access.runtime, access.endpoint, stream=False)
        with step(errors, "adapters' answers compared with the base model's"):
            runs[-1] = (runs[-1][0], compared_with_base(plain, runs[-1][1], access.credentials))
    _write(runs, json_file, context.params, is_closed=clients is not None)
    if plot is not None:
        _plot(plot, runs, warm_up)
    raise typer.Exit(_exit_code([measured for _, measured in runs], least))


def _rates(
    rate: float | None, rates: str, clients: int | None, *, has_own_rate: bool
) -> tuple[float | None, ...]:
    """Return the rate of each run; None: a trace's own, or a closed loop."""
    given = [name for name, value in (("--rate", rate), ("--rates", rates), ("--clients", clients)) if value]
    if len(given) > 1:
        raise typer.BadParameter(f"{' and '.join(given)}: use one of them")
    if not rates:
        if not given and not has_own_rate:
            raise typer.BadParameter("give --rate, --rates or --clients, or a trace: --arrivals trace:FILE")
        return (rate,)
    try:
        found = tuple(float(part) for part in rates.split(","))
    except ValueError:
        found = (math.nan,)
    if not all(math.isfinite(one) and one > 0 for one in found):
        raise typer.BadParameter(f"{rates}: write numbers above 0, such as 1,2,4", param_hint="--rates")
    return found


def _measured(access: RuntimeAccess, job: LoadJob, requests: LoadRequests, slo: LatencySlo) -> MeasuredRun:
    """Send the requests, with a progress bar."""
    from loraserve.load.measure import measure
    from loraserve.progress import step

    count = len(requests.workload)
    pace = (
        f"from {job.clients} clients" if job.mode == "closed" else f"in {requests.workload.duration_s:.0f} s"
    )
    with step(errors, f"{count} requests {pace}") as progress:
        task = progress.add_task("  ended", total=count)
        return measure(
            access.endpoint,
            job,
            requests,
            slo=slo,
            credentials=access.credentials,
            advance=lambda ended: progress.advance(task, ended),
        )


def _write(
    runs: Sequence[tuple[float | None, MeasuredRun]],
    json_file: str,
    parameters: Mapping[str, Any],
    *,
    is_closed: bool,
) -> None:
    """Write the document, and the report unless standard output has the document."""
    from loraserve.load.document import as_json, sweep_document, write_document
    from loraserve.load.report import report, sweep

    given = {
        name: value for name, value in parameters.items() if value not in (None, "") and name != "profile"
    }
    options = {name: str(value) for name, value in given.items()}
    documents = [measured.document(options) for _, measured in runs]
    document = sweep_document(documents) if parameters["rates"] else documents[0]
    if json_file == "-":
        typer.echo(as_json(document))
        return
    if json_file:
        write_document(Path(json_file), document)
        errors.print(f"figures and requests: {json_file}")
    report(output(), runs[-1][1], is_closed=is_closed)
    if len(runs) > 1:
        output().print(sweep(runs))


def _plot(folder: Path, runs: Sequence[tuple[float | None, MeasuredRun]], warm_up_s: float) -> None:
    from loraserve.load.plots import plot_run, plot_sweep

    written = plot_run(folder, runs[-1][1], warm_up_s=warm_up_s)
    if len(runs) > 1:
        written.append(plot_sweep(folder, runs))
    errors.print(f"pictures: {', '.join(map(str, written))}")


def _exit_code(runs: Sequence[MeasuredRun], least_goodput: float) -> int:
    """Return the exit code: an invalid run's figures are not judged."""
    if any(measured.run.interrupted for measured in runs):
        return 130
    if not all(measured.run.health.valid for measured in runs):
        return 3
    summaries = [measured.summary for measured in runs]
    failed = any(summary.wrong_adapters or summary.latency_s is None for summary in summaries)
    return 1 if failed or summaries[0].goodput < least_goodput else 0
