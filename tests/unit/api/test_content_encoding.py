from __future__ import annotations

import asyncio
import gzip

from starlette.types import Message, Receive, Scope, Send

from app.api.content_encoding import ContentEncoding


def test_others_run_between_the_pieces_of_a_body() -> None:
    asyncio.run(_others_run_between_the_pieces_of_a_body())


async def _others_run_between_the_pieces_of_a_body() -> None:
    content = bytes(4_000_000)
    pieces: list[bytes] = []
    turns: list[int] = []

    async def read(_scope: Scope, receive: Receive, _send: Send) -> None:
        more_to_come = True
        while more_to_come:
            message = await receive()
            pieces.append(message["body"])
            more_to_come = message["more_body"]

    async def receive() -> Message:
        return {"type": "http.request", "body": gzip.compress(content), "more_body": False}

    async def send(_message: Message) -> None:
        raise AssertionError("nothing is answered")

    async def others() -> None:
        while True:
            turns.append(len(pieces))
            await asyncio.sleep(0)

    waiting = asyncio.create_task(others())
    await ContentEncoding(read)({"type": "http", "headers": [(b"content-encoding", b"gzip")]}, receive, send)
    waiting.cancel()
    assert b"".join(pieces) == content
    assert max(map(len, pieces)) <= 65_536
    assert set(turns) >= set(range(1, len(pieces) - 1))
