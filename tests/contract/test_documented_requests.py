"""docs/requests.md: what it says is not taken is refused, and what clients have to write is served."""

import json
import re
from typing import Any

import pytest

from container.gateway.schemas.lorax import Options
from container.gateway.schemas.openai import IGNORED
from container.gateway.schemas.other_servers import OTHER_KEYS
from stacks.project import ROOT
from tests.contract.recorded_gateway import RecordedGateway

PAGE = (ROOT / "docs" / "requests.md").read_text()


def section(title: str) -> str:
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def rows(text: str, header: str) -> list[list[str]]:
    """The cells of each row of the table with this header."""
    table = text.partition(f"{header}\n")[2].partition("\n\n")[0].splitlines()[1:]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in table]


NOT_TAKEN = rows(section("What is not taken"), "| request | refused | write |")
CLIENTS = [
    (row[0], row[2].rstrip("| ").strip("`"))
    for row in rows(section("Clients"), "| client | write | body |")
    if row[2].startswith("`")
]
UNKNOWN = rows(section("Unknown keys"), "| key | values |")
PATHS = re.findall(r"`(GET|POST) (/[^`]+)`", section("What is not taken").partition("No answer comes")[2])


def code(cell: str) -> str:
    return cell.removeprefix("| ").strip("`")


def test_the_tables_are_read() -> None:
    assert len(NOT_TAKEN) > 15
    assert len(CLIENTS) > 5
    assert len(PATHS) == 7


@pytest.mark.parametrize(
    ("body", "field", "write"), [(code(row[0]), code(row[1]), row[2]) for row in NOT_TAKEN]
)
def test_a_request_that_is_not_taken_is_refused_for_its_field(
    tested: RecordedGateway, body: str, field: str, write: str
) -> None:
    message = tested.refusal(json.loads(body))
    assert f"`{field}" in message
    if write.startswith("nothing"):
        assert "did you mean" not in message
        assert "left out" in message or "leave it out" in message


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_a_path_that_is_not_there(tested: RecordedGateway, method: str, path: str) -> None:
    answer = tested.client.request(method, path, b"{}" if method == "POST" else None)
    if (method, path) == ("GET", "/v1/models"):
        assert [model["id"] for model in answer.json["data"]] == ["tiny-mistral", "otter"]
    else:
        assert answer.error[:2] == (404, "not_found")


@pytest.mark.parametrize(("client", "body"), CLIENTS)
def test_what_a_client_has_to_write_is_served_by_the_adapter(
    tested: RecordedGateway, client: str, body: str
) -> None:
    answer = tested.send(json.loads(body))
    assert answer.status == 200, (client, answer.body)
    assert tested.engine.asked[-1]["model"].startswith("adapters/otter/")


def test_the_documented_neutral_keys_are_these() -> None:
    documented: dict[str, Any] = {}
    for keys, values in (row[:2] for row in UNKNOWN):
        value = None if values.strip("| ") == "any" else (json.loads(values.strip("|` ")),)
        documented |= dict.fromkeys(re.findall(r"`([^`]+)`", keys), value)
    assert documented == {name: key.neutral for name, key in OTHER_KEYS.items() if key.neutral != ()}
    listed = section("Unknown keys").partition("`options` of")[2].partition(")")[0]
    assert re.findall(r"`([^`]+)`", listed) == list(Options.model_fields)


def test_the_documented_fields_without_a_meaning_are_these() -> None:
    (row,) = (line for line in section("OpenAI's schemas").splitlines() if "accepted and ignored" in line)
    assert set(re.findall(r"`([^`]+)`", row.rpartition("| accepted")[0])) == IGNORED


def test_a_list_of_one_prompt_is_its_prompt(tested: RecordedGateway) -> None:
    assert tested.send({"prompt": ["one"], "model": "otter"}).json["choices"][0]["text"] == "C hi"
    assert tested.engine.asked[-1]["prompt"] == "one"
