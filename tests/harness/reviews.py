"""Documents of a review and its artifact, as the review's workflow uploads it."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace

from loraserve.review.document import (
    ComparedSide,
    ReportedFinding,
    ReviewDocument,
    StageResult,
    write,
)

NOTHING = ReviewDocument(
    schema=1,
    base=ComparedSide(name="main", commit="1a2b3c4d" * 5),
    head=ComparedSide(name="change", commit="5d6e7f80" * 5),
    has_heads_packages=False,
    notes=(),
    stages=(),
    findings=(),
    hidden=0,
    adapters=(),
    diff="",
    prices_date="2026-11",
    fail_on="block",
    accepted=(),
    exit_code=0,
)


def loss(title: str = "the bucket is deleted", *, accepted: bool = False) -> ReviewDocument:
    """Return a review with one block about data."""
    finding = ReportedFinding(
        id="0123456789ab",
        stage="prod",
        category="loss",
        rule="loss.data",
        level="BLOCK",
        accepted=accepted,
        title=title,
        consequence="All adapters are gone.",
        action="Keep it.",
        details=(),
        resources=(),
        before=None,
        after=None,
    )
    stage = StageResult(
        id="Prod",
        name="prod",
        verdict="BLOCK",
        requests="=",
        adapters_known=True,
        usd_month_most_before=None,
        usd_month_most_after=None,
    )
    return replace(
        NOTHING,
        stages=(stage,),
        findings=(finding,),
        accepted=("loss",) if accepted else (),
        exit_code=0 if accepted else 3,
    )


def archive(document: ReviewDocument | str | None, number: int | str) -> bytes:
    """Return the artifact's zip; a text stands for the document's file."""
    files = {"pull-request.txt": f"{number}\n"}
    if document is not None:
        files["review.json"] = document if isinstance(document, str) else write(document)
    return zipped(files)


def zipped(files: dict[str, str]) -> bytes:
    """Return a zip of these files."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as made:
        for name, text in files.items():
            made.writestr(name, text)
    return content.getvalue()
