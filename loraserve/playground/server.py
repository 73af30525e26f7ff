"""The page's server: on 127.0.0.1, for names of this machine only, with a page that loads from it only."""

from __future__ import annotations

from typing import Any

import boto3
import gradio as gr
import uvicorn
from botocore.config import Config
from fastapi import FastAPI, Request, Response
from starlette.middleware.trustedhost import TrustedHostMiddleware

from loraserve.client import EndpointClient, runtime_config
from loraserve.playground import store
from loraserve.playground.catalog import CatalogAdapter, catalog
from loraserve.playground.columns import CSS
from loraserve.playground.page import make_page
from loraserve.playground.settings import PageSettings

HOST = "127.0.0.1"
#: The browser loads nothing from elsewhere: Gradio's page names a script of a content network.
_POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'"
)
#: Fonts of the reader's machine: those of Gradio's themes come from Google.
_FONTS = ("system-ui", "sans-serif")


def serve(settings: PageSettings) -> None:
    """Serve the page until Ctrl-C or SIGTERM."""
    # No access log: a link has the prompt in its query.
    uvicorn.run(
        application(settings),
        host=HOST,
        port=settings.port,
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=1,
    )


def application(settings: PageSettings) -> FastAPI:
    """Return the page as a web application."""
    session = boto3.Session(region_name=settings.region)
    local = Config(proxies={}) if settings.containers else Config()
    runtime = session.client("sagemaker-runtime", config=runtime_config().merge(local))
    client = EndpointClient(settings.endpoint, runtime, adapter_affine=settings.adapter_affine)
    s3 = session.client("s3", config=Config(max_pool_connections=store.PARALLEL_REQUESTS).merge(local))

    def read_catalog() -> list[CatalogAdapter]:
        if settings.bucket is None:
            return []
        return catalog(store.entries(s3, settings.bucket), store.residency(settings.containers))

    # No pages of documentation: they load their scripts from a content network.
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])

    @app.middleware("http")
    async def with_policy(request: Request, call_next: Any) -> Response:
        response: Response = await call_next(request)
        response.headers["Content-Security-Policy"] = _POLICY
        return response

    page = make_page(settings, client, read_catalog).queue()
    theme = gr.themes.Default(font=_FONTS, font_mono=("ui-monospace", "monospace"))
    mounted: FastAPI = gr.mount_gradio_app(
        app, page, path="/", server_name=HOST, server_port=settings.port, theme=theme, css=CSS,
        footer_links=[], run_history=False, ssr_mode=False, enable_monitoring=False, pwa=False,
        mcp_server=False, max_file_size="10mb",
    )  # fmt: skip
    return mounted
