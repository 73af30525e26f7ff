import pytest

from stacks.config.stage_config import StageConfig
from stacks.reference import ALARMS_PAGE, PAGE, PIPELINE_PAGE, alarms_page, page, pipeline_page


def test_the_reference_page_is_what_the_models_say() -> None:
    assert PAGE.read_text() == page(), "run: .venv/bin/python -m stacks.reference"
    assert ALARMS_PAGE.read_text() == alarms_page(), "run: .venv/bin/python -m stacks.reference"
    assert PIPELINE_PAGE.read_text() == pipeline_page(), "run: .venv/bin/python -m stacks.reference"


@pytest.mark.parametrize(
    "text", [page(), alarms_page(), pipeline_page()], ids=["stages", "alarms", "pipeline"]
)
def test_no_prose_is_indented_as_code(text: str) -> None:
    outside_of_fences = "".join(text.split("```")[::2])
    assert [line for line in outside_of_fences.splitlines() if line.startswith("    ")] == []


def test_the_page_has_every_section_and_key() -> None:
    text = page()
    for name, field in StageConfig.model_fields.items():
        assert f"| `{name}` |" in text
        assert (f"\n## `{name}`\n" in text) == hasattr(field.annotation, "model_fields")
    assert "\n## `autoscaling.schedules`, each\n" in text
    assert "\n## `endpoint.data_capture`\n" in text
