"""Every alarm of a stage: requests, capacity, adapters, memory, disk and seeding."""

from __future__ import annotations

from dataclasses import replace

from container.gateway.telemetry import names
from stacks.observability.alarm import LASTING, REPEATED, SILENCE, Alarm, Thresholds
from stacks.observability.log_metrics import ENGINE_DEATHS, OUT_OF_MEMORY, SEEDING_WAITS
from stacks.observability.metric import (
    CONCURRENT_REQUESTS,
    DISK,
    GPU_MEMORY,
    INVOCATION_5XX_ERRORS,
    INVOCATION_MODEL_ERRORS,
    Metric,
    Source,
)

#: Requests without a 2XX answer. Callers' mistakes count too, so the share is high.
FAILURE_PERCENT = 50.0
#: Least free space, in GB (10^9 bytes), for the adapters' files.
FREE_DISK_GB = 5.0
#: Of an instance's adapters, see `_adapters`.
FAILING_ADAPTERS_PERCENT = 50.0
#: Concurrency over the target by this factor is more than autoscaling's tolerance.
OVERLOAD = 1.5
#: Minutes: longer than scaling out takes, from the metric to a loaded model (800 s by default).
SCALE_OUT_MINUTES = 20
GB = 10**9


def all_alarms(source: Source, thresholds: Thresholds, *, seeder_worker_name: str) -> list[Alarm]:
    """List the alarms; `seeder_worker_name` is the Lambda function that seeds the store."""
    return [
        *_errors(source, thresholds),
        *_capacity(source, thresholds),
        *_adapters(source),
        *_memory(source, thresholds),
        *_disk(source, thresholds),
        *_seeding(source, seeder_worker_name),
    ]


def _errors(source: Source, thresholds: Thresholds) -> list[Alarm]:
    return [
        Alarm(
            "5xx",
            source.invocations(INVOCATION_5XX_ERRORS, "Average"),
            thresholds.error_percent / 100,
            f"{thresholds.error_percent:g} % or more of the requests were answered 5XX in 3 minutes of 5.",
            "find the error type on the dashboard; if it began with an update, roll that back.",
            when=REPEATED,
            rollback=True,
        ),
        Alarm(
            "failures",
            source.invocations(INVOCATION_MODEL_ERRORS, "Average"),
            FAILURE_PERCENT / 100,
            f"{FAILURE_PERCENT:g} % or more of the requests got no 2XX answer in 3 minutes of 5, "
            "broken connections and callers' mistakes included.",
            "if they are 4XX, find the caller; otherwise read the end of the endpoint's log.",
            when=REPEATED,
        ),
        Alarm(
            "server-errors",
            source.gateway(names.SERVER_ERRORS),
            1,
            "Requests keep failing with server errors, including errors within a stream, which SageMaker "
            "counts as successful.",
            "look for the error type on the dashboard, then for its lines in the endpoint's log.",
            when=LASTING,
        ),
        Alarm(
            "engine-died",
            source.logged(ENGINE_DEATHS),
            1,
            "An engine ended by itself, or did not start; its container exits and SageMaker replaces it.",
            "read the lines before «the engine ended by itself» in the endpoint's log.",
        ),
    ]


def _capacity(source: Source, thresholds: Thresholds) -> list[Alarm]:
    return [
        Alarm(
            "no-capacity",
            source.gateway(names.ENGINE_READY, "Maximum"),
            1,
            "No instance is ready, or none emits metrics any more. Also raised while the endpoint starts for "
            "the first time.",
            "read the endpoint's status and failure reason, then the end of its log.",
            when=LASTING,
            below=True,
            missing=SILENCE,
        ),
        Alarm(
            "saturation",
            source.invocations(CONCURRENT_REQUESTS, "Maximum"),
            thresholds.target_concurrent_requests * OVERLOAD,
            f"{OVERLOAD:g} times the load per instance that autoscaling aims at, or more, for "
            f"{SCALE_OUT_MINUTES} minutes: "
            f"the fleet is at its limit of {thresholds.max_instances}, or gets no instances.",
            "compare the number of instances with the limit; raise it, or the account's quota.",
            when=(SCALE_OUT_MINUTES, SCALE_OUT_MINUTES),
        ),
        Alarm(
            "refused",
            source.gateway(names.REQUESTS_REFUSED),
            1,
            "Requests are answered 429 because the queue is full.",
            "check that instances are starting; slow down the callers, or raise max_instances.",
            when=REPEATED,
        ),
    ]


def _adapters(source: Source) -> list[Alarm]:
    """List the alarms of adapters: a failed load notifies, a fleet that cannot load rolls back.

    `adapter-loads` counts failed loads. One broken adapter that callers keep requesting is retried every 5 s
    on each instance, so that alarm stays in ALARM until the adapter is repaired: as a rollback alarm it would
    refuse every update meanwhile. `failing-adapters` looks at the share of different adapters instead, in the
    worst instance (`Maximum`):

    - A fleet that cannot load adapters has none loaded: two different ones that fail are 100 %.
    - A few broken adapters are a small share of an instance that has loaded others, and one alone is never
      a share (`FEWEST_FAILING`), also not on a new instance that is first asked for the broken one.
    - Both fleets of an update have the same dimensions. A sum or an average over them would let many good old
      instances hide a few new ones, such as a canary's; the maximum does not depend on their number.
    - The share is emitted as a metric: each line has it, 0 if no load failed, so the alarm ends with the
      failures. Metric math would need sums over instances, which hide the few.

    A stage with one adapter has no such share: a broken adapter and a fleet that cannot load it look the
    same. The fleet stays, `adapter-loads` notifies, and `make deploy` fails at its end, because it asks one
    adapter.
    """
    look = "look for «the adapter store cannot be asked» in the endpoint's log: role, key, bucket or network."
    return [
        Alarm(
            "wrong-adapter",
            source.gateway(names.WRONG_ADAPTERS),
            1,
            "The engine answered with another adapter than the requested one; the gateway returned an error.",
            "roll back to the last good image at once, then keep the log for the engine's authors.",
            rollback=True,
        ),
        Alarm(
            "adapter-loads",
            source.gateway(names.ADAPTER_LOAD_FAILURES),
            1,
            "Adapters keep failing to load; requests for them are answered 424.",
            "find the adapter under «Adapters with most errors» on the dashboard, and roll it back.",
            when=REPEATED,
        ),
        Alarm(
            "failing-adapters",
            source.gateway(names.FAILING_ADAPTERS, "Maximum"),
            FAILING_ADAPTERS_PERCENT,
            f"{FAILING_ADAPTERS_PERCENT:g} % or more of an instance's adapters, at least two, fail to load.",
            "find the reasons in the endpoint's log; if it began with an update, roll that back.",
            when=REPEATED,
            rollback=True,
        ),
        Alarm(
            "stale-registry",
            source.gateway(names.REGISTRY_STALE_ANSWERS),
            1,
            "The adapter store does not answer and outdated registry entries are used: publishing has no "
            "effect.",
            look,
            when=LASTING,
        ),
        Alarm(
            "registry-errors",
            source.gateway(names.REGISTRY_ERRORS),
            1,
            "Reads of the adapter store fail; requests for adapters not used before are answered 503.",
            look,
            when=REPEATED,
        ),
    ]


def _memory(source: Source, thresholds: Thresholds) -> list[Alarm]:
    less = "lower max_concurrent_requests, max_total_tokens or max_active_adapters in the stage."
    gpu = Alarm(
        "gpu-memory",
        source.instances(GPU_MEMORY, "Maximum"),
        # The metric is the sum of an instance's GPUs: four go up to 400.
        thresholds.gpu_memory_percent * source.gpus,
        f"{thresholds.gpu_memory_percent:g} % of an instance's GPU memory in use for 10 minutes: the next "
        "long prompt may fail.",
        less,
        when=(10, 10),
    )
    log = Alarm(
        "out-of-memory",
        source.logged(OUT_OF_MEMORY),
        1,
        "The engine runs out of memory again and again.",
        less,
        when=REPEATED,
    )
    return [gpu, log] if source.gpus else [log]


def _disk(source: Source, thresholds: Thresholds) -> list[Alarm]:
    less = "lower adapter_cache_gb in the stage, or take a larger instance."
    return [
        Alarm(
            "disk",
            source.instances(DISK, "Maximum"),
            thresholds.disk_percent,
            f"{thresholds.disk_percent:g} % or more of an instance's disk is full.",
            less,
            when=LASTING,
        ),
        Alarm(
            "disk-free",
            source.gateway(names.DISK_FREE_BYTES, "Minimum"),
            FREE_DISK_GB * GB,
            f"Less than {FREE_DISK_GB:g} GB are free where adapters are kept: loads may fail.",
            less,
            when=LASTING,
            below=True,
        ),
    ]


def _seeding(source: Source, worker_name: str) -> list[Alarm]:
    return [
        Alarm(
            "seeding",
            Metric("AWS/Lambda", "Errors", {"FunctionName": worker_name}, "Sum"),
            1,
            "Seeding the adapter store failed: the deployment is rolled back.",
            "read the reason for each adapter in the events of the stack, then correct the manifest.",
        ),
        Alarm(
            "seeding-waits",
            replace(source.logged(SEEDING_WAITS), period=300),
            1,
            "Seeding has waited ten minutes for S3 or the network; CloudFormation's limit is an hour.",
            "find the cause of the wait in the seeder's log; seeding continues by itself after the outage.",
            when=(2, 2),
        ),
    ]
