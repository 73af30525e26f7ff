from stacks.reference import PAGE, page


def test_the_reference_page_is_what_the_models_say() -> None:
    assert PAGE.read_text() == page(), "run: .venv/bin/python -m stacks.reference"
