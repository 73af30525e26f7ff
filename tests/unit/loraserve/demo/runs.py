"""Runs of the load test as the demo gets them, with faults."""

from collections.abc import Sequence

from loraserve.demo.questions import Question
from loraserve.load.health import Health
from loraserve.load.job import LoadRun
from loraserve.load.result import LoadOutcome, RequestResult
from samples.problems import SIGNATURES, house_answer


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
