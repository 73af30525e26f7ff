"""Groups of sources, and findings that differ in their source only."""

from adapters.source import HubSource
from loraserve.doctor.sources.adapter_sources import SourceGroup, collapsed
from loraserve.finding import State, problem, unknown


def group(name: str, *others: str) -> SourceGroup:
    return SourceGroup(HubSource(f"acme/{name}", "0" * 40), None, [name, *others])


def test_findings_of_one_reason_become_one() -> None:
    groups = [group(f"a{number}") for number in range(5)]
    found = list(collapsed((g, unknown("c", f"{g.source}: no way to the Hub")) for g in groups))
    assert [finding.state for finding in found] == [State.UNKNOWN]
    assert found[0].found.startswith(f"a0 ({groups[0].source}), a1 (")
    assert found[0].found.endswith(" and 2 more sources: no way to the Hub")


def test_findings_of_other_reasons_or_remedies_stay_apart() -> None:
    one, two, three = group("one", "copy"), group("two"), group("three")
    found = list(
        collapsed(
            [
                (one, problem("c", f"{one.source}: gated", "accept at /one")),
                (two, problem("c", f"{two.source}: gated", "accept at /two")),
                (three, unknown("c", f"{three.source}: gated", "accept at /two")),
            ]
        )
    )
    assert len(found) == 3
    assert found[0].found == f"one and 1 more ({one.source}): gated"
