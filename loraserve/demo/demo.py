"""The demo: the article's exercise on a laptop, by a real `cdk deploy`."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from botocore.credentials import Credentials
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from loraserve import local_stage
from loraserve.client import EndpointClient, runtime_config
from loraserve.demo import benchmark
from loraserve.demo.html_report import write_html
from loraserve.demo.questions import NEW_TOKENS, AnswerLength, Question, load_job
from loraserve.errors import UserError
from loraserve.load.job import LoadRun
from loraserve.load.processes import run
from loraserve.load.signing import endpoint_target
from loraserve.progress import stack_progress, step
from samples.problems import SEED_PROBLEM, SIGNATURES, adapter_name, check
from samples.spec import BASE_NAME
from stacks.project import ROOT


class DemoFailed(UserError):
    """A demo that ran to its end with a wrong result."""


def demo(console: Console, out: Path, port: int | None) -> None:
    """Deploy, invoke, benchmark, tear down; writes `report.html`, `demo.json` and `demo.png` into `out`.

    Raises `DemoFailed` if an answer is wrong. Every process that it started ends in any case.
    """
    local_stage.check()
    out.mkdir(parents=True, exist_ok=True)
    assembly = out / "cdk.out"
    shutil.rmtree(out / "laptop", ignore_errors=True)
    with ExitStack() as stack:
        with step(console, "laptop cloud"):
            cloud = stack.enter_context(local_stage.temporary(out / "laptop", port))
        with step(console, "cdk bootstrap"):
            local_stage.bootstrap(cloud, assembly)
        started = time.monotonic()
        with stack_progress(console, "cdk deploy: bucket, 50 adapters, endpoint, autoscaling") as on_event:
            local_stage.deploy(cloud, assembly, on_event)
        deploy_s = time.monotonic() - started
        endpoint = local_stage.outputs(cloud)["EndpointName"]
        inservice_s = seconds_to_inservice(cloud.client("sagemaker"), endpoint)
        console.print(f"  endpoint {endpoint} was InService after {inservice_s:.1f} s")
        adapters = [adapter_name(number) for number in range(len(SIGNATURES))]
        runtime = cloud.client("sagemaker-runtime", runtime_config(connections=len(adapters)))
        client = EndpointClient(endpoint, runtime)
        texts = compare(console, client, adapters[0])
        load_all(console, client, adapters)
        ask = asker(runtime, endpoint, local_stage.client_variables(cloud))
        result = benchmark.measure(console, ask, adapters, out / "demo.png")
        with stack_progress(console, "cdk destroy") as on_event:
            local_stage.destroy(cloud, assembly, on_event)
    summary = {"deploy_s": deploy_s, "inservice_s": inservice_s, **texts, **result}
    (out / "demo.json").write_text(json.dumps(summary, indent=1) + "\n")
    write_html(out / "report.html", summary, out / "demo.png", ROOT / "stages" / "local.yaml")
    console.print(
        f"Report: {out / 'report.html'}; figures and picture: {out / 'demo.json'}, {out / 'demo.png'}"
    )
    console.print(
        "Next: [bold]make up[/] deploys the same and keeps it running, for `make invoke`, `make load-test` "
        "and any AWS client; make down stops it."
    )
    _check_result(result, texts)


def seconds_to_inservice(sagemaker: Any, endpoint: str) -> float:
    """Return the seconds from CreateEndpoint to InService, by SageMaker's timestamps."""
    description = sagemaker.describe_endpoint(EndpointName=endpoint)
    return float((description["LastModifiedTime"] - description["CreationTime"]).total_seconds())


def compare(console: Console, client: EndpointClient, adapter: str) -> dict[str, str]:
    """Ask the base model and one adapter the article's question, and print both answers side by side."""
    base = client.generate(SEED_PROBLEM.prompt, max_new_tokens=NEW_TOKENS)
    tuned = client.generate(SEED_PROBLEM.prompt, adapter=adapter, max_new_tokens=NEW_TOKENS)
    console.print(Panel(escape(SEED_PROBLEM.prompt), title="the article's question"))
    side_by_side = Table(show_lines=True)
    side_by_side.add_column(f"base model ({base.tokens} tokens, {base.seconds:.2f} s)", ratio=1)
    side_by_side.add_column(f"adapter {adapter} ({tuned.tokens} tokens, {tuned.seconds:.2f} s)", ratio=1)
    side_by_side.add_row(escape(base.text.strip()), escape(tuned.text.strip()))
    console.print(side_by_side)
    return {"base_text": base.text, "adapter_text": tuned.text}


def load_all(console: Console, client: EndpointClient, adapters: Sequence[str]) -> None:
    """Call every adapter once, all at the same time, so that each is loaded."""
    title = f"first call of each of {len(adapters)} adapters, all at once"
    with step(console, title), ThreadPoolExecutor(len(adapters)) as pool:
        calls = [
            pool.submit(client.generate, SEED_PROBLEM.prompt, adapter=name, max_new_tokens=1)
            for name in adapters
        ]
        for call in calls:
            call.result()


def asker(runtime: Any, endpoint: str, variables: Mapping[str, str]) -> benchmark.Ask:
    """Return the function that asks the endpoint the benchmark's questions, by the load test's generator.

    `runtime` is a boto3 client of `sagemaker-runtime`; `variables` have the credentials of the AWS CLI.
    """
    target = endpoint_target(runtime, endpoint, stream=False)
    keys = Credentials(variables["AWS_ACCESS_KEY_ID"], variables["AWS_SECRET_ACCESS_KEY"])

    def ask(questions: Sequence[Question], length: AnswerLength, advance: Callable[[int], None]) -> LoadRun:
        models = [question.adapter or BASE_NAME for question in questions]
        found = run(load_job(target, questions, models, length), advance, keys)
        if found.interrupted:
            raise KeyboardInterrupt
        return found

    return ask


def _check_result(result: dict[str, Any], texts: dict[str, str]) -> None:
    if str(SEED_PROBLEM.total) in texts["base_text"]:
        raise DemoFailed(
            "the base model gave the final answer within 64 tokens; it should still be reasoning"
        )
    verdict = check(texts["adapter_text"], SEED_PROBLEM, adapter_name(0))
    if not (verdict.right_answer and verdict.right_adapter):
        raise DemoFailed(
            f"the adapter's answer to the article's question is wrong: {texts['adapter_text']!r}"
        )
    problem = benchmark.problem_of(result)
    if problem is not None:
        raise DemoFailed(problem)
