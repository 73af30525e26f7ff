"""Style of docstrings, comments and documentation: plain nouns and verbs, no metaphors."""

import ast
import io
import re
import subprocess
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from stacks.project import ROOT
from tests.harness.rooms import ROOMS

#: Folders and files that are held to the style: all that this project writes.
WRITTEN = (
    *ROOMS,
    *("app.py", "pipeline.py", "docs", "tests", "README.md"),
)

#: First words that a docstring must not have, and the replacement.
QUESTION_WORDS = frozenset({"who", "what", "where", "how", "why", "whether", "whose", "whom", "when"})
NOUN_OR_VERB = "begin with a verb (function) or a noun (class, module, attribute)"

#: Words that prose must not have, and their replacements.
REPLACEMENTS = {
    "whoever": "the role: the client, the caller, the operator",
    "nobody": "no client, no caller; or name what is not done",
    "somebody": "the role: the client, the caller, the operator",
    "of its own": "separate, dedicated",
    "lies below": "is stored under",
    "taken back": "rolled back",
    "takes back": "rolls back",
    "seed article": "the article",
    "leash": "supervisor",
}
_UNUSED = {
    re.compile(r"\b" + r"\s+".join(word.split()) + r"\b", re.IGNORECASE): (word, instead)
    for word, instead in REPLACEMENTS.items()
}


@dataclass(frozen=True)
class Passage:
    """A docstring, a run of comment lines, or a document."""

    line: int
    text: str
    is_docstring: bool = False

    def violations(self) -> Iterator[str]:
        """Yield `line: word → replacement` for each violation."""
        first = re.match(r"\W*([A-Za-z]+)", self.text)
        if self.is_docstring and first and first[1].lower() in QUESTION_WORDS:
            yield f"{self.line}: {first[1]} → {NOUN_OR_VERB}"
        for pattern, (word, instead) in _UNUSED.items():
            for found in pattern.finditer(self.text):
                line = self.line + self.text[: found.start()].count("\n")
                yield f"{line}: {word} → {instead}"


def docstrings(source: str) -> Iterator[Passage]:
    """Yield the docstrings of modules, classes, functions and attributes."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Expr(value=ast.Constant(value=str(text))):
                yield Passage(node.lineno, text, is_docstring=True)


def comments(source: str) -> Iterator[Passage]:
    """Yield the comments, consecutive lines as one."""
    run: list[str] = []
    last = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        if run and token.start[0] != last + 1:
            yield Passage(last - len(run) + 1, "\n".join(run))
            run = []
        run.append(token.string.lstrip("#: "))
        last = token.start[0]
    if run:
        yield Passage(last - len(run) + 1, "\n".join(run))


def passages(path: Path) -> list[Passage]:
    """Read the prose of a Python file or a Markdown document."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        return [Passage(1, text)]
    return [*docstrings(text), *comments(text)]


def files(room: str) -> list[Path]:
    """List the tracked Python files and Markdown documents of a room."""
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "--", room], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split("\0")
    return [ROOT / name for name in tracked if Path(name).suffix in {".py", ".md"} and (ROOT / name).exists()]


@pytest.mark.parametrize("room", WRITTEN)
def test_prose_uses_the_words_of_the_field(room: str) -> None:
    found = files(room)
    assert found, f"{room} has no tracked Python file or document: correct WRITTEN"

    violations = [
        f"{path.relative_to(ROOT)}:{violation}"
        for path in found
        for passage in passages(path)
        for violation in passage.violations()
    ]

    assert not violations, "\n" + "\n".join(violations)


SOURCE = '''"""How it goes."""
# Whoever
# asks, nobody answers.
class Line:
    """A line of
    its

    own."""
    length: int  # somebody's
    """Whether it is long."""
    wholesale = "whoever"
'''


def test_a_violation_is_reported_with_its_line_and_replacement() -> None:
    found = [v for p in [*docstrings(SOURCE), *comments(SOURCE)] for v in p.violations()]

    assert {v.partition(" → ")[0] for v in found} == {
        "1: How",
        "2: whoever",
        "3: nobody",
        "5: of its own",
        "9: somebody",
        "10: Whether",
    }
    assert all(v.partition(" → ")[2] in {NOUN_OR_VERB, *REPLACEMENTS.values()} for v in found)
