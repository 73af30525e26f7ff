"""The error of a benchmark that gives no figures."""


class BenchmarkFailed(Exception):
    """A measurement failed or its result is wrong; the message has the reason."""
