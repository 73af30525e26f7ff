"""The alarms of what callers notice: what each means, and what to do about it first."""

from __future__ import annotations

from stacks.observability.alarm import LASTING, REPEATED, SILENCE, Alarm, Thresholds
from stacks.observability.log_metrics import ENGINE_DEATHS
from stacks.observability.metric import Source

#: Concurrency over the target by this factor is more than autoscaling's tolerance.
OVERLOAD = 1.5
#: Minutes: longer than it takes to notice, start an instance and load a model (800 s by default).
SCALE_OUT_MINUTES = 20


def endpoint_alarms(source: Source, thresholds: Thresholds) -> list[Alarm]:
    """Alarms of requests, capacity and adapters."""
    return [
        *_errors(source, thresholds),
        *_capacity(source, thresholds),
        *_adapters(source),
    ]


def _errors(source: Source, thresholds: Thresholds) -> list[Alarm]:
    return [
        Alarm(
            "5xx",
            source.invocations("Invocation5XXErrors", "Average"),
            thresholds.error_percent / 100,
            f"{thresholds.error_percent:g} % or more of the requests were answered 5XX in 3 minutes of 5.",
            "see on the dashboard which error type it is; if it came with an update, roll that back.",
            when=REPEATED,
            rollback=True,
        ),
        Alarm(
            "failures",
            source.invocations("InvocationModelErrors", "Average"),
            thresholds.failure_percent / 100,
            f"{thresholds.failure_percent:g} % or more of the requests got no 2XX answer in 3 minutes of 5, "
            "broken connections and callers' mistakes included.",
            "if they are 4XX, find the caller; otherwise read the end of the endpoint's log.",
            when=REPEATED,
        ),
        Alarm(
            "server-errors",
            source.gateway("ServerErrors"),
            1,
            "Requests keep failing by the server's fault, those within a stream included, which SageMaker "
            "counts as good.",
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
            source.gateway("EngineReady", "Maximum"),
            1,
            "No instance is ready to answer, or none is heard of any more. It is so, too, while the endpoint "
            "starts for the first time.",
            "look at the endpoint's status and failure reason, then at the end of its log.",
            when=LASTING,
            below=True,
            missing=SILENCE,
        ),
        Alarm(
            "saturation",
            source.invocations("ConcurrentRequestsPerModel", "Maximum"),
            thresholds.target_concurrent_requests * OVERLOAD,
            f"{OVERLOAD:g} times the load per instance that autoscaling aims at, or more, for "
            f"{SCALE_OUT_MINUTES} minutes: "
            f"it is at its limit of {thresholds.max_instances}, or gets no instances.",
            "compare the number of instances with the limit; raise it, or the account's quota.",
            when=(SCALE_OUT_MINUTES, SCALE_OUT_MINUTES),
        ),
        Alarm(
            "refused",
            source.gateway("RequestsRefused"),
            1,
            "Requests are answered 429 because too many wait already.",
            "look whether instances are being started; slow the callers down, or raise max_instances.",
            when=REPEATED,
        ),
    ]


def _adapters(source: Source) -> list[Alarm]:
    look = "look for «the adapter store cannot be asked» in the endpoint's log: role, key, bucket or network."
    return [
        Alarm(
            "wrong-adapter",
            source.gateway("WrongAdapters"),
            1,
            "The engine answered with another adapter than the one asked for; the gateway made it an error.",
            "roll back to the last good image at once, then keep the log for the engine's authors.",
            rollback=True,
        ),
        Alarm(
            "adapter-loads",
            source.gateway("AdapterLoadFailures"),
            1,
            "Adapters keep failing to load; requests for them are answered 424.",
            "find the adapter under «Adapters with most errors» on the dashboard, and roll it back.",
            when=REPEATED,
            rollback=True,
        ),
        Alarm(
            "stale-registry",
            source.gateway("RegistryStaleAnswers"),
            1,
            "The adapter store does not answer, and what it said before is used: publishing has no effect.",
            look,
            when=LASTING,
        ),
        Alarm(
            "registry-errors",
            source.gateway("RegistryErrors"),
            1,
            "Questions to the adapter store fail; requests for adapters not asked for before get 503.",
            look,
            when=REPEATED,
        ),
    ]
