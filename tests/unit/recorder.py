"""A scripted server behind a real socket for commands: what they ask it, and what they make of its answers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from typer.testing import CliRunner, Result

from app.cli import app
from app.errors import ModelNotFound

NOBODY = "http://127.0.0.1:9"


class Asked(NamedTuple):
    """One request; `body` is its JSON, None for anything else."""

    path: str
    query: dict[str, str]
    body: Any
    method: str = "POST"


class Recorder:
    """A server that remembers what it was asked, and knows no model but in the answers it was given."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.answers: dict[str, Any] = {}
        """By method and path, `GET /v1/models`: JSON, or bytes as they are."""
        recorder = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                address = urlsplit(self.path)
                is_json = self.headers.get("Content-Type") == "application/json"
                body = json.loads(content) if is_json else None
                recorder.asked.append(Asked(address.path, dict(parse_qsl(address.query)), body, self.command))
                status, answer = recorder.answer_to(f"{self.command} {address.path}")
                self.send_response(status)
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST = do_DELETE = _answer  # noqa: N815  http.server's names

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def answer_to(self, request: str) -> tuple[int, bytes]:
        """Status and body; a problem where there is no answer to give."""
        if request not in self.answers:
            problem = {"type": "/problems/model-not-found", "title": "No", "status": 404, "detail": "no"}
            return 404, json.dumps(problem).encode()
        answer = self.answers[request]
        return 200, answer if isinstance(answer, bytes) else json.dumps(answer).encode()


@contextmanager
def recording() -> Iterator[Recorder]:
    """A recorder that serves meanwhile."""
    recorder = Recorder()
    thread = Thread(target=recorder.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield recorder
    finally:
        recorder.server.shutdown()
        thread.join()
        recorder.server.server_close()


def run(recorder: Recorder, *arguments: str) -> Result:
    """What a command printed and how it ended."""
    return CliRunner().invoke(app, [*arguments, "--url", recorder.url], env={"COLUMNS": "250"})


def sent(recorder: Recorder, *arguments: str) -> Asked:
    """What a command asks the server, which then knows no such model."""
    result = run(recorder, *arguments)
    assert isinstance(result.exception, ModelNotFound), result.output
    return recorder.asked[-1]


def refused(*arguments: str) -> str:
    """What wrong usage is answered with, by a command that asks nobody."""
    result = CliRunner().invoke(app, [*arguments, "--url", NOBODY], env={"COLUMNS": "200"})
    assert result.exit_code == 2, result.output
    return result.output


def page_of(*items: Mapping[str, Any]) -> dict[str, Any]:
    """All of a list on one page."""
    return {"items": list(items), "next_page_token": None}


def event_of(job: Mapping[str, Any]) -> bytes:
    """The events of a job: its last state."""
    return f"event: progress\nid: 1\ndata: {json.dumps(job)}\n\n".encode()
