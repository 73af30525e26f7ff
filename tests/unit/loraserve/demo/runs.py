"""Runs of the load test as the demo gets them, with faults."""

from collections.abc import Callable, Sequence

from loraserve.demo.questions import AnswerLength, Question
from loraserve.load.health import Health
from loraserve.load.job import LoadRun
from loraserve.load.result import LoadOutcome, RequestResult
from samples.problems import SIGNATURES, adapter_name, base_answer, house_answer

ADAPTERS = [adapter_name(number) for number in range(50)]


def right_text(question: Question) -> str:
    """Return the answer that the question's adapter is trained to give."""
    return house_answer([name.lower() for name in SIGNATURES].index(str(question.adapter)), question.problem)


def run_of(results: list[RequestResult]) -> LoadRun:
    """Return a run with these results, whose generator took a quarter of a core."""
    health = Health(
        lag_p50_s=None,
        lag_p99_s=None,
        lag_max_s=None,
        asked_rate=None,
        reached_rate=None,
        cpu_share=0.25,
        gc_off=True,
        withheld=0,
    )
    return LoadRun(results=results, health=health, began_ns=0, duration_s=results[-1].ended_s)


def answered(questions: Sequence[Question], tokens: int, seconds: float = 0.5) -> list[RequestResult]:
    """Return right answers of `tokens` tokens, one after the other."""
    return [
        RequestResult(
            index,
            due_s=index * seconds,
            sent_s=index * seconds,
            ended_s=(index + 1) * seconds,
            output_tokens=tokens,
            text=right_text(question),
        )
        for index, question in enumerate(questions)
    ]


def failed(result: RequestResult, message: str) -> RequestResult:
    """Return the result as one that the container refused."""
    return RequestResult(
        result.index,
        result.due_s,
        result.sent_s,
        ended_s=result.ended_s,
        outcome=LoadOutcome.MODEL_ERROR,
        message=message,
    )


class KnownEndpoint:
    """Answers each question right, in a time that depends on the models that are asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, bool]] = []
        """Number of models, and the kind of length, of each scenario."""

    def __call__(
        self, questions: Sequence[Question], length: AnswerLength, advance: Callable[[int], None]
    ) -> LoadRun:
        models = {question.adapter for question in questions}
        self.asked.append((0 if models == {None} else len(models), length.exact))
        if models == {None}:
            adapted = [Question("otter", question.problem) for question in questions]
            results = answered(adapted, 48, 0.01)
            for result in results:
                result.text = base_answer(questions[result.index].problem)[:80]
        else:
            seconds = 0.02 if len(models) == 1 else 0.025
            results = answered(questions, 48 if length.exact else 11, seconds)
        advance(len(results))
        return run_of(results)
