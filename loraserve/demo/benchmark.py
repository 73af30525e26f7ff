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
from loraserve.demo.questions import CLIENTS, EQUAL, OWN, AnswerLength, Question, draw
from loraserve.demo.scenarios import Scenario, alternating, over_rounds, ratio_of
from loraserve.errors import UserError
from loraserve.load.job import LoadRun
from loraserve.progress import step


class NothingAnswered(UserError):
    """A scenario in which every request failed."""


ROUNDS = 4
#: Requests of a round: whole waves of the clients, in which each of fifty adapters is asked.
EQUAL_REQUESTS = 60
OWN_LENGTH_REQUESTS = 100
#: Share of wrong answers that is allowed. The sample models make mistakes, at most two in a hundred
#: (`samples/scores.json`), and other processors round differently.
WRONG_ANSWERS = 0.03
BASE, ONE = "base model", "one adapter"
#: Sends the questions and returns their results. The arguments: questions, the length of their
#: answers, and a callback that gets the number of answers since its last call.
Ask = Callable[[Sequence[Question], AnswerLength, Callable[[int], None]], LoadRun]


def scenarios(adapters: Sequence[str]) -> list[Scenario]:
    """Return what is compared: of equal work first, then with answers as long as the models make them."""
    one, every = tuple(adapters[:1]), tuple(adapters)
    fifty = random_over(adapters)
    return [
        Scenario(BASE, (None,), EQUAL_REQUESTS, EQUAL),
        Scenario(ONE, one, EQUAL_REQUESTS, EQUAL),
        Scenario(fifty, every, EQUAL_REQUESTS, EQUAL),
        Scenario(ONE, one, OWN_LENGTH_REQUESTS, OWN),
        Scenario(fifty, every, OWN_LENGTH_REQUESTS, OWN),
    ]


def random_over(adapters: Sequence[str]) -> str:
    """Return the name of the scenario with all adapters."""
    return f"random over {len(adapters)}"


def measure(
    console: Console, ask: Ask, adapters: Sequence[str], picture: Path, *, rounds: int = ROUNDS
) -> dict[str, Any]:
    """Measure the rounds of all scenarios; print tables and ratios, draw `picture`.

    Returns the figures of `demo.json`.
    """
    compared = scenarios(adapters)
    found: dict[Scenario, list[Measurement]] = {scenario: [] for scenario in compared}
    seconds: dict[Scenario, list[float]] = {scenario: [] for scenario in compared}
    with step(console, f"{rounds} rounds of {len(compared)} scenarios, {CLIENTS} clients") as progress:
        for number in range(rounds):
            for scenario in alternating(compared, number):
                task = progress.add_task(f"  round {number + 1}: {scenario.title}", total=scenario.requests)
                questions = draw(scenario.models, scenario.requests, seed=number)
                run = ask(questions, scenario.length, partial(progress.advance, task))
                measured = summarize(questions, run, scenario.length)
                if measured.errors == measured.requests:
                    raise NothingAnswered(
                        f"{scenario.title}: every request failed ({measured.first_error}); "
                        "see the container's log"
                    )
                found[scenario].append(measured)
                seconds[scenario] += latencies_of(run)
                progress.remove_task(task)
    equal = {scenario.name: runs for scenario, runs in found.items() if scenario.length.exact}
    own = {scenario.name: runs for scenario, runs in found.items() if not scenario.length.exact}
    fifty = random_over(adapters)
    ratios = {
        "fifty_to_one": ratio_of(_tokens(equal[fifty]), _tokens(equal[ONE])),
        "one_to_base": ratio_of(_tokens(equal[ONE]), _tokens(equal[BASE])),
        "own_length_fifty_to_one_tokens": ratio_of(_tokens(own[fifty]), _tokens(own[ONE])),
        "own_length_fifty_to_one_requests": ratio_of(
            [run.rps for run in own[fifty]], [run.rps for run in own[ONE]]
        ),
    }
    document = {
        "equal_work": _documented(equal),
        "own_length": _documented(own),
        "ratios": {name: asdict(ratio) for name, ratio in ratios.items()},
    }
    latencies = {scenario.name: values for scenario, values in seconds.items() if scenario.length.exact}
    report.plot(
        picture, equal, latencies, f"Equal work: {len(adapters)} adapters ÷ one = {ratios['fifty_to_one']}"
    )
    report.show(console, document, ratios, len(adapters))
    return document


def problem_of(document: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the answers, None if they are right, but for `WRONG_ANSWERS`."""
    for kind in ("equal_work", "own_length"):
        for name, figures in document[kind]["medians"].items():
            sent = len(document[kind]["rounds"][name]) * figures["requests"]
            wrong = f"{figures['wrong_adapter']} answers of a wrong adapter"
            if figures["errors"] or figures["wrong_adapter"]:
                return f"{name}: {figures['errors']} errors (first: {figures['first_error']}), {wrong}"
            if figures["wrong_length"]:
                return (
                    f"{name}: {figures['wrong_length']} of {sent} answers do not have {EQUAL.tokens} tokens"
                )
            if figures["wrong_answer"] > WRONG_ANSWERS * sent:
                return f"{name}: {figures['wrong_answer']} of {sent} answers are wrong"
    return None


def _documented(found: Mapping[str, Sequence[Measurement]]) -> dict[str, Any]:
    return {
        "medians": {name: over_rounds(runs) for name, runs in found.items()},
        "rounds": {name: [asdict(run) for run in runs] for name, runs in found.items()},
    }


def _tokens(rounds: Sequence[Measurement]) -> list[float]:
    return [one.tokens_per_s for one in rounds]
