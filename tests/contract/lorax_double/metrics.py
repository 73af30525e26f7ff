"""GET /metrics: LoRAX's counters and gauges. Its histograms are left out."""

from collections import Counter

_counters: Counter[str] = Counter()
_gauges: dict[str, float] = {}


def count(name: str, **labels: str) -> None:
    shown = ",".join(f'{key}="{value}"' for key, value in labels.items())
    _counters[f"{name}{{{shown}}}" if shown else name] += 1


def gauge(name: str, value: float) -> None:
    _gauges[name] = value


def render() -> str:
    """Prometheus' text format; a series is there once it has been used."""
    lines: list[str] = []
    for kind, series in (("counter", _counters), ("gauge", _gauges)):
        for name in sorted({each.partition("{")[0] for each in series}):
            lines.append(f"# TYPE {name} {kind}")
            lines += [f"{each} {value}" for each, value in series.items() if each.partition("{")[0] == name]
            lines.append("")
    return "\n".join(lines)
