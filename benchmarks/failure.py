"""Why a benchmark gives no figures."""


class BenchmarkFailed(Exception):
    """Nothing could be measured, or what was measured is wrong; the message says why."""
