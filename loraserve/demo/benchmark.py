"""The demo's benchmark: base model, one adapter and fifty through one endpoint, in alternating rounds.

Requests per second flatter adapters whose answers are short. So the first comparison is of equal work: every
answer has the same number of tokens. The second one is the article's: an answer ends where the model ends it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from loraserve.demo import report
from loraserve.demo.measurement import Measurement, latencies_of, summarize
from loraserve.demo.questions import CLIENTS, EQUAL_TOKENS, Question, draw
from loraserve.demo.scenarios import Scenario, alternating, over_rounds, ratio_of
from loraserve.load.generator import LoadRun
from loraserve.progress import step

ROUNDS = 4
#: Requests of a round: three waves of the clients, so that each of fifty adapters is asked once or twice.
EQUAL_REQUESTS = 60
NATURAL_REQUESTS = 150
BASE, ONE = "base model", "one adapter"
#: Sends the questions and returns their results. The arguments: questions, equal work or not, and the callback
#: for each answer.
Ask = Callable[[Sequence[Question], bool, Callable[[], None]], LoadRun]


def scenarios(adapters: Sequence[str]) -> list[Scenario]:
    """Return what is compared: of equal work first, then with answers as long as the models make them."""
    one, every = tuple(adapters[:1]), tuple(adapters)
    fifty = random_over(adapters)
    return [
        Scenario(BASE, (None,), EQUAL_REQUESTS, equal=True),
        Scenario(ONE, one, EQUAL_REQUESTS, equal=True),
        Scenario(fifty, every, EQUAL_REQUESTS, equal=True),
        Scenario(ONE, one, NATURAL_REQUESTS, equal=False),
        Scenario(fifty, every, NATURAL_REQUESTS, equal=False),
    ]


def random_over(adapters: Sequence[str]) -> str:
    """Return the name of the scenario with all adapters."""
    return f"random over {len(adapters)}"


def measure(console: Console, ask: Ask, adapters: Sequence[str], picture: Path) -> dict[str, Any]:
    """Measure the rounds of all scenarios; print tables and ratios, draw `picture`.

    Returns the figures of `demo.json`.
    """
    compared = scenarios(adapters)
    found: dict[Scenario, list[Measurement]] = {scenario: [] for scenario in compared}
    seconds: dict[Scenario, list[float]] = {scenario: [] for scenario in compared}
    with step(console, f"{ROUNDS} rounds of {len(compared)} scenarios, {CLIENTS} clients") as progress:
        for number in range(ROUNDS):
            for scenario in alternating(compared, number):
                task = progress.add_task(f"  round {number + 1}: {scenario.title}", total=scenario.requests)
                questions = draw(scenario.models, scenario.requests, seed=number)
                run = ask(questions, scenario.equal, partial(progress.advance, task))
                found[scenario].append(summarize(questions, run, equal=scenario.equal))
                seconds[scenario] += latencies_of(run)
                progress.remove_task(task)
    equal = {scenario.name: runs for scenario, runs in found.items() if scenario.equal}
    own = {scenario.name: runs for scenario, runs in found.items() if not scenario.equal}
    fifty = random_over(adapters)
    ratios = {
        "fifty_to_one": ratio_of(equal[fifty], equal[ONE], "tokens_per_s"),
        "one_to_base": ratio_of(equal[ONE], equal[BASE], "tokens_per_s"),
        "fifty_to_one_own_length_rps": ratio_of(own[fifty], own[ONE], "rps"),
        "fifty_to_one_own_length_tokens_per_s": ratio_of(own[fifty], own[ONE], "tokens_per_s"),
    }
    document = {
        "equal_work": _documented(equal),
        "own_length": _documented(own),
        "ratios": {name: asdict(ratio) for name, ratio in ratios.items()},
    }
    latencies = {scenario.name: values for scenario, values in seconds.items() if scenario.equal}
    report.plot(picture, equal, latencies, f"{len(adapters)} adapters ÷ one: {ratios['fifty_to_one']}")
    report.show(console, document, ratios, len(adapters))
    return document


def problem_of(document: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the answers, None if they are right.

    One wrong answer in a hundred is allowed: the sample models make mistakes (`samples/scores.json`).
    """
    for kind in ("equal_work", "own_length"):
        for name, figures in document[kind]["medians"].items():
            sent = ROUNDS * figures["requests"]
            wrong = f"{figures['wrong_adapter']} answers of a wrong adapter"
            if figures["errors"] or figures["wrong_adapter"]:
                return f"{name}: {figures['errors']} errors (first: {figures['first_error']}), {wrong}"
            if figures["wrong_length"]:
                return f"{name}: {figures['wrong_length']} of {sent} answers do not have {EQUAL_TOKENS} tokens"
            if figures["wrong_answer"] > max(1, sent / 100):
                return f"{name}: {figures['wrong_answer']} of {sent} answers are wrong"
    return None


def _documented(found: Mapping[str, Sequence[Measurement]]) -> dict[str, Any]:
    return {
        "medians": {name: over_rounds(runs) for name, runs in found.items()},
        "rounds": {name: [asdict(run) for run in runs] for name, runs in found.items()},
    }
