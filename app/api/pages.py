"""Pages for people: the API's documentation and what each problem means. All they load comes from this server."""

from __future__ import annotations

import html
from functools import cache
from inspect import getdoc
from pathlib import Path

import fastapi_offline
from fastapi import APIRouter, FastAPI
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from fastapi.staticfiles import StaticFiles
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from app.api.prefix import root_path
from app.contract.problems import status_of
from app.errors import ForgetteryError, NotFound, errors_by_slug

router = APIRouter(include_in_schema=False)

_ASSETS = "/assets"
_FOLDER = Path(fastapi_offline.__file__).parent / "static"
_ICON = "/assets/favicon.png"
_POLICY = {
    # Even if a script or a document asked for something elsewhere, no browser would. Both documentations style by inline rules; their start is an inline script; ReDoc searches in a worker.
    "Content-Security-Policy": "default-src 'self'; script-src 'self' 'unsafe-inline'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; worker-src blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
}
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} · Forgettery</title><link rel="icon" href="{root_path}/assets/favicon.png">
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 1rem/1.6 system-ui, sans-serif; max-width: 44rem; margin: 3rem auto; padding: 0 1rem; }}
code {{ font-family: ui-monospace, monospace; }}
li {{ margin: .3rem 0; }}
</style></head>
<body><main>{body}</main></body>
</html>
"""


def mount_assets(app: FastAPI) -> None:
    """Serve scripts and styles of the documentation; the package that brings them is used for its files alone."""
    app.mount(_ASSETS, StaticFiles(directory=_FOLDER), name="assets")


@router.get("/")
async def home() -> RedirectResponse:
    """Redirect a browser that opens the server to its documentation."""
    return RedirectResponse("/docs")


@router.get("/docs")
async def docs(request: Request) -> HTMLResponse:
    """The documentation to try things in."""
    prefix = root_path(request.scope)
    page = get_swagger_ui_html(
        openapi_url=f"{prefix}/openapi.json",
        title="Forgettery API",
        swagger_js_url=f"{prefix}{_ASSETS}/swagger-ui-bundle.js",
        swagger_css_url=f"{prefix}{_ASSETS}/swagger-ui.css",
        swagger_favicon_url=f"{prefix}{_ICON}",
        # None: no badge of an online validator.
        swagger_ui_parameters={"validatorUrl": None, "tagsSorter": None, "persistAuthorization": False},
    )
    page.headers.update(_POLICY)
    return page


@router.get("/redoc")
async def redoc(request: Request) -> HTMLResponse:
    """The documentation to read."""
    prefix = root_path(request.scope)
    page = get_redoc_html(
        openapi_url=f"{prefix}/openapi.json",
        title="Forgettery API",
        redoc_js_url=f"{prefix}/redoc.js",
        redoc_favicon_url=f"{prefix}{_ICON}",
        with_google_fonts=False,
    )
    page.headers.update(_POLICY)
    return page


@router.get("/redoc.js")
async def redoc_script() -> Response:
    """ReDoc as its makers publish it, but for their logo, which it would fetch from their host."""
    return Response(_redoc_script(), media_type="text/javascript", headers={"Cache-Control": "max-age=3600"})


@cache
def _redoc_script() -> bytes:
    script = (_FOLDER / "redoc.standalone.js").read_bytes()
    return script.replace(b"https://cdn.redoc.ly/redoc/logo-mini.svg", b"data:,")  # no picture, so ReDoc shows none


@router.get("/problems")
async def list_problems(request: Request) -> HTMLResponse:
    """Every kind of problem."""
    prefix = root_path(request.scope)
    entries = [
        f'<li><a href="{prefix}/problems/{slug}"><code>{slug}</code></a>: {html.escape(kind.title)} ({status_of(kind)})</li>'
        for slug, kind in errors_by_slug().items()
    ]
    return _page(prefix, "Problems", f"<h1>Problems</h1><ul>{''.join(entries)}</ul>")


@router.get("/problems/{slug}")
async def explain_problem(request: Request, slug: str) -> HTMLResponse:
    """What one kind of problem means."""
    kind = errors_by_slug().get(slug)
    if kind is None:
        raise NotFound("there is no problem of this name; /problems lists them")
    prefix = root_path(request.scope)
    sentence = html.escape(getdoc(kind) or kind.title)
    body = (
        f"<h1>{html.escape(kind.title)}</h1><p>{sentence}</p>"
        f"<p>Answered with HTTP status {status_of(kind)}. The <code>detail</code> of the answer says what to do; "
        f"{_advice(kind)}</p>{_related(prefix, kind)}<p><a href='{prefix}/problems'>All problems</a></p>"
    )
    return _page(prefix, kind.title, body)


def _advice(kind: type[ForgetteryError]) -> str:
    advice = {
        400: "send a well-formed HTTP request with a known method.",
        401: "send a valid key.",
        403: "use a key that allows this, or ask where it is allowed.",
        404: "check the name or number.",
        409: "look at the present state, then decide anew.",
        410: "it will not come back.",
        413: "send less at once.",
        422: "<code>errors</code> points to each fault of the body; sending it unchanged fails again.",
        503: "it may work later: wait as long as <code>Retry-After</code> says.",
    }
    return advice.get(status_of(kind), "sending the same again will hardly help; the server's log knows more.")


def _related(prefix: str, kind: type[ForgetteryError]) -> str:
    links = [
        f'<li><a href="{prefix}/problems/{child.slug}">{html.escape(child.title)}</a></li>'
        for child in kind.__subclasses__()
    ]
    return f"<p>More precisely it may be:</p><ul>{''.join(links)}</ul>" if links else ""


def _page(prefix: str, title: str, body: str) -> HTMLResponse:
    return HTMLResponse(_PAGE.format(root_path=prefix, title=html.escape(title), body=body), headers=_POLICY)
