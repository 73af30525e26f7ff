"""Checks of a stage after its deployment, against the services that it was deployed to.

- `check_answers`: the base model answers, and an adapter.
- `check_metrics`: the endpoint's metrics reach CloudWatch.

Nothing is changed. A check whose permission the credentials lack is a warning: the credentials that deploy
need not be able to invoke the endpoint or read its metrics.
"""

from __future__ import annotations

import itertools
import time
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.markup import escape

from adapters.store.registry import AdapterRegistry
from container.gateway.telemetry import names
from loraserve.adapters.open_store import deployed_bucket
from loraserve.aws import Client
from loraserve.client import EndpointClient, Generation, InvocationError, runtime_config
from loraserve.doctor.answers import REFUSALS, is_refusal
from loraserve.errors import UserError
from loraserve.verify.serving import NotAsDeployed
from stacks.config.stage_config import LoadedStage

#: Seconds between two looks at CloudWatch.
LOOK_SECONDS = 5.0
#: HTTP statuses of an endpoint that is busy: the question is repeated for so many seconds.
_BUSY_ANSWERS, BUSY_SECONDS = (429, 503), 120.0
#: Adapters that are asked until one answers: a broken one is its publisher's error, not the deployment's.
_ADAPTERS = 3
#: A prompt that any model continues, with few tokens.
_PROMPT, _TOKENS = "[INST] Say hello. [/INST]", 8
#: Seconds for the first metric: an interval of the gateway (60 s by default), and CloudWatch's extraction
#: from the log, for which AWS names no time.
METRIC_SECONDS = 300.0


def check_answers(console: Console, stage: LoadedStage, client: Client) -> None:
    """Raise `NotAsDeployed` unless the base model answers, and one of the stage's adapters.

    The answer must name the adapter. Another adapter is asked where one fails, three at most; a stage without
    adapters has the answer of the base model alone.
    """
    runtime = EndpointClient(stage.endpoint_name, client("sagemaker-runtime", runtime_config()))
    try:
        _answer(console, runtime, None)
        failures = []
        for adapter in _some_adapters(console, stage, client):
            try:
                _answer(console, runtime, adapter)
            except NotAsDeployed as failure:
                failures.append(str(failure))
                continue
            for failed in failures:
                _warn(console, failed)
            return
    except _Denied as denied:
        _warn(console, f"the endpoint was not asked: {denied}")
        return
    if failures:
        raise NotAsDeployed("; ".join(failures))


def check_metrics(
    console: Console, stage: LoadedStage, client: Client, since: datetime | None = None
) -> bool:
    """Wait for a metric that the endpoint has emitted since `since` (now by default), five minutes at most.

    Warn and return False if none came. The alarms of the gateway's metrics would not be raised then.
    """
    cloudwatch, endpoint = client("cloudwatch"), stage.endpoint_name
    started = time.monotonic()
    since = (since or datetime.now(UTC)).replace(second=0, microsecond=0)
    [variant] = client("sagemaker").describe_endpoint(EndpointName=endpoint)["ProductionVariants"]
    query = _metric_query(endpoint, variant["VariantName"])
    text = f"waiting for the endpoint's first metric, {METRIC_SECONDS / 60:g} minutes at most"
    with console.status(text):
        if not console.is_terminal:
            console.print(f"{endpoint}: {text}")
        while True:
            try:
                [found] = cloudwatch.get_metric_data(
                    MetricDataQueries=[query], StartTime=since, EndTime=datetime.now(UTC)
                )["MetricDataResults"]
            except ClientError as error:
                if not is_refusal(error):
                    raise
                _warn(console, f"the endpoint's metrics were not looked up: {_message(error)}")
                return False
            if found["Values"]:
                _done(console, "its metrics reach CloudWatch")
                return True
            if time.monotonic() - started > METRIC_SECONDS:
                break
            time.sleep(LOOK_SECONDS)
    _warn(
        console,
        f"no metric of the namespace {names.NAMESPACE} came from {endpoint} within "
        f"{METRIC_SECONDS / 60:g} minutes: its alarms would not be raised. CloudWatch makes the metrics of "
        f"lines of the log group /aws/sagemaker/Endpoints/{endpoint}. If it has no new lines, look at the "
        "execution role (logs:CreateLogStream, logs:PutLogEvents) and its permissions boundary; if it has, "
        "at gateway.metrics_seconds of the stage and at the image, which may be older than this repository",
    )
    return False


class _Denied(UserError):
    """The credentials lack a permission; the message is AWS's."""


def _some_adapters(console: Console, stage: LoadedStage, client: Client) -> list[str]:
    """Name a few adapters of the stage: of its manifest, or published by command."""
    listed = list(itertools.islice(stage.manifest.published_names(), _ADAPTERS))
    if listed:
        return listed
    try:
        bucket = deployed_bucket(client("cloudformation"), stage.target)
        return sorted(AdapterRegistry(client("s3"), bucket).etags())[:_ADAPTERS]
    except ClientError as error:
        if not is_refusal(error):
            raise
        _warn(console, f"no adapter was asked: {_message(error)}")
        return []


def _answer(console: Console, runtime: EndpointClient, adapter: str | None) -> None:
    """Ask for a short answer, again while the endpoint is busy; raises `NotAsDeployed` and `_Denied`."""
    model = "the base model" if adapter is None else f"adapter {adapter!r}"
    with console.status(f"asking {model}"):
        answer = _patiently(runtime, model, adapter)
    by = answer.adapter
    if (by is None) if adapter is None else (by is not None and by.rpartition("@")[0] == adapter):
        _done(console, f"{model} answers in {answer.seconds:.1f} s")
        return
    raise NotAsDeployed(
        f"{runtime.endpoint}: {model} was asked, and the answer is of {by or 'the base model'}"
    )


def _patiently(runtime: EndpointClient, model: str, adapter: str | None) -> Generation:
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            return runtime.generate(_PROMPT, adapter=adapter, max_new_tokens=_TOKENS)
        except InvocationError as error:
            if error.error_type in REFUSALS:
                raise _Denied(str(error)) from error
            if error.status not in _BUSY_ANSWERS or time.monotonic() > until:
                raise NotAsDeployed(f"{runtime.endpoint}: {model} does not answer: {error}") from error
        except BotoCoreError as error:
            raise NotAsDeployed(f"{runtime.endpoint}: {model} does not answer: {error}") from error
        time.sleep(LOOK_SECONDS)


def _metric_query(endpoint: str, variant: str) -> dict[str, Any]:
    """Query the number of instances, which each instance emits in every interval."""
    dimensions = {names.ENDPOINT: endpoint, names.VARIANT: variant}
    metric = {
        "Namespace": names.NAMESPACE,
        "MetricName": names.INSTANCES,
        "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items()],
    }
    return {"Id": "instances", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"}}


def _message(error: ClientError) -> str:
    return str(error.response["Error"].get("Message", error))


def _done(console: Console, text: str) -> None:
    console.print(f"[green]✓[/] {escape(text)}", highlight=False, soft_wrap=True)


def _warn(console: Console, text: str) -> None:
    console.print(f"[yellow]![/] {escape(text)}", highlight=False, soft_wrap=True)
