"""The page: Gradio's components, and which function fills which of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from loraserve.client import EndpointClient
from loraserve.playground import columns, export
from loraserve.playground.catalog import HEADERS, CatalogAdapter, summary, table
from loraserve.playground.comparison import BASE, ModelAnswer, Sampling, compare
from loraserve.playground.link import MAX_ADAPTERS, ComparisonSetup, from_query, pinned, to_query
from loraserve.playground.settings import PageSettings

#: Starts a download in the browser, so that no file is written on this side.
_DOWNLOAD = """(text, name) => {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text], {type: 'text/plain'}));
  link.download = name;
  link.click();
}"""
ReadCatalog = Callable[[], list[CatalogAdapter]]


def make_page(settings: PageSettings, client: EndpointClient, read_catalog: ReadCatalog) -> gr.Blocks:
    """Return the page of one endpoint; it calls `read_catalog` when it is loaded, or asked to."""
    with gr.Blocks(title="Adapter playground", analytics_enabled=False, fill_width=True) as page:
        gr.Markdown(
            f"## Adapter playground\nEndpoint **{settings.endpoint}**. This page listens on 127.0.0.1 only. "
            "Prompts and answers are in memory only; a download writes them."
        )
        with gr.Row():
            picked = gr.Dropdown(
                [], label="Adapters (one to four)", multiselect=True, max_choices=MAX_ADAPTERS,
                allow_custom_value=True, elem_id="adapters", scale=4,
                info="Search by name, revision or label; name@revision asks an earlier revision.",
            )  # fmt: skip
            with_base = gr.Checkbox(True, label="Base model", elem_id="base", scale=1)
        # A closed accordion does not render its components.
        said = gr.Markdown(elem_id="catalog-summary")
        with gr.Accordion("All adapters", open=False):
            listed = gr.Dataframe(
                headers=list(HEADERS), interactive=False, show_search="filter", max_height=300,
                elem_id="catalog",
            )  # fmt: skip
            again = gr.Button("Read the list again", size="sm", elem_id="reload")
        with gr.Row():
            prompt = gr.Textbox(label="Prompt", lines=3, scale=4, elem_id="prompt")
            with gr.Column(scale=1):
                file = gr.File(
                    label="or a file of prompts (.txt, .jsonl)", file_types=[".txt", ".jsonl"], height=110
                )
                instruction = gr.Checkbox(False, label="[INST] … [/INST] around it", elem_id="inst")
        with gr.Row():
            temperature = gr.Slider(0, 2, 0, step=0.1, label="Temperature", elem_id="temperature")
            tokens = gr.Number(
                64, label="Most tokens", precision=0, minimum=1, maximum=2048, elem_id="tokens"
            )
            seed = gr.Number(0, label="Seed", precision=0, minimum=0, maximum=2**31 - 1, elem_id="seed")
            run = gr.Button("Compare", variant="primary", elem_id="compare")
            stop = gr.Button("Stop", elem_id="stop")
        with gr.Row(equal_height=True):
            answers = [
                gr.HTML(visible=False, container=True, elem_id=f"answer-{index}", padding=True)
                for index in range(MAX_ADAPTERS + 1)
            ]
        link = gr.Textbox(
            label="Link to this comparison", buttons=["copy"], interactive=False, elem_id="link"
        )
        with gr.Accordion("All answers", open=False):
            rows = gr.Dataframe(headers=list(columns.HEADERS), interactive=False, wrap=True, elem_id="rows")
        with gr.Row():
            as_csv = gr.Button("Download CSV", size="sm", elem_id="csv")
            as_jsonl = gr.Button("Download JSONL", size="sm", elem_id="jsonl")
        exported = gr.State([])
        text, name = gr.Textbox(visible="hidden"), gr.Textbox(visible="hidden")

        # Gradio streams what a generator function yields; it takes a lambda's generator for a value.
        def answers_of(file: str | None, *values: Any) -> Iterator[list[Any]]:
            yield from _answers(settings, client, _setup(*values), file)

        inputs = [picked, with_base, prompt, instruction, temperature, tokens, seed]
        outputs = [*answers, link, rows, exported]
        asked = gr.on(
            [run.click, prompt.submit],
            answers_of,
            [file, *inputs], outputs, concurrency_limit=4, show_progress="hidden", api_visibility="private",
        )  # fmt: skip
        stop.click(None, cancels=[asked], api_visibility="private")
        page.load(_restored, None, inputs, api_visibility="private")
        for event in (page.load, again.click):
            event(
                lambda: _catalog(settings, read_catalog),
                None,
                [picked, said, listed],
                api_visibility="private",
            )
        for button, suffix, write in ((as_csv, "csv", export.as_csv), (as_jsonl, "jsonl", export.as_jsonl)):
            button.click(
                lambda found, write=write, suffix=suffix: (write(found), f"comparison.{suffix}"),
                exported, [text, name], api_visibility="private",
            ).success(None, [text, name], js=_DOWNLOAD, api_visibility="private")  # fmt: skip
    return page


def _restored(request: gr.Request) -> list[Any]:
    """Return the values of the inputs from the link's query."""
    setup = from_query(dict(request.query_params))
    sampling = setup.sampling
    shared = [setup.prompt, setup.instruction, sampling.temperature, sampling.tokens, sampling.seed]
    return [list(setup.adapters), setup.with_base, *shared]


def _catalog(settings: PageSettings, read: ReadCatalog) -> tuple[Any, str, list[list[str | int | float]]]:
    try:
        found = read()
    except Exception as error:
        raise gr.Error(f"The list of adapters cannot be read: {error}", print_exception=False) from error
    return gr.Dropdown(choices=[each.choice for each in found]), summary(found, settings.bucket), table(found)


def _setup(
    picked: Sequence[str], with_base: bool, prompt: str, instruction: bool, *sampling: float
) -> ComparisonSetup:
    temperature, tokens, seed = sampling
    return ComparisonSetup(
        adapters=tuple(picked),
        with_base=with_base,
        prompt=prompt,
        instruction=instruction,
        sampling=Sampling(temperature=temperature, tokens=int(tokens or 64), seed=int(seed or 0)),
    )


def _answers(
    settings: PageSettings, client: EndpointClient, setup: ComparisonSetup, file: str | None
) -> Iterator[list[Any]]:
    """Yield the values of the outputs while the answers arrive, prompt after prompt."""
    models = [BASE] * setup.with_base + list(setup.adapters)
    prompts = _prompts(setup, file)
    if not models:
        raise gr.Error("Pick an adapter, or the base model.", print_exception=False)
    link = f"http://127.0.0.1:{settings.port}/?"
    done: list[ModelAnswer] = []
    for prompt in prompts:
        asked = f"[INST] {prompt} [/INST]" if setup.instruction else prompt
        now: list[ModelAnswer] = []
        for now in compare(client, models, asked, setup.sampling):
            yield [*_drawn(now), link + to_query(setup), gr.skip(), gr.skip()]
        done += now
        reproduced = ComparisonSetup(**vars(setup) | {"adapters": pinned(setup.adapters, now)})
        rows = [export.row(answer, setup.sampling) for answer in done]
        yield [*_drawn(now), link + to_query(reproduced), columns.overview(done), rows]


def _drawn(answers: Sequence[ModelAnswer]) -> list[Any]:
    """Return an update for each column; the first answer is what the others are compared with."""
    shown: list[Any] = [
        gr.HTML(value=columns.column(answer, answers[0] if index else None), visible=True)
        for index, answer in enumerate(answers)
    ]
    return shown + [gr.HTML(visible=False)] * (MAX_ADAPTERS + 1 - len(shown))


def _prompts(setup: ComparisonSetup, file: str | None) -> list[str]:
    """Return the prompts of the file, or the one that was typed."""
    if file is None:
        if not setup.prompt.strip():
            raise gr.Error("Write a prompt, or choose a file of prompts.", print_exception=False)
        return [setup.prompt]
    try:
        return export.read_prompts(Path(file).read_text(), Path(file).name)
    except (export.PromptFileError, OSError, UnicodeDecodeError) as error:
        raise gr.Error(f"{error}", print_exception=False) from error
