"""How a JSON body is read, without a server around it."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Annotated, Any, ClassVar

import pytest
from pydantic import Field, model_validator
from starlette.requests import Request
from starlette.types import Message

from app.api.bodies import json_body, parse
from app.contract.fields import Asked
from app.contract.forgetting import ForgetCreate
from app.contract.training import TrainRequest
from app.errors import InvalidInput


def test_the_largest_bodies_that_mean_something_are_read() -> None:
    samples = {"target": {"samples": [2**53 - 1 - number for number in range(100_000)]}}
    assert len(parse(ForgetCreate, json.dumps(samples).encode()).target.samples or ()) == 100_000
    classes = {"classes": list(range(10_000))}
    assert len(parse(TrainRequest, json.dumps(classes, indent=4).encode()).classes or ()) == 10_000
    tasks = {"tasks": [[10 * task + place for place in range(10)] for task in range(1000)]}
    assert len(parse(TrainRequest, json.dumps(tasks, indent=4).encode()).tasks or ()) == 1000


class NotingItsThread(Asked):
    names: Annotated[list[str], Field(max_length=10_000)]
    threads: ClassVar[list[int]] = []

    @model_validator(mode="before")
    @classmethod
    def _noted(cls, given: Any) -> Any:
        cls.threads.append(threading.get_ident())
        return given


def test_a_body_is_parsed_and_refused_in_a_thread_of_its_own() -> None:
    async def receive() -> Message:
        return {"type": "http.request", "body": json.dumps({"names": list(range(1000))}).encode()}

    async def read() -> NotingItsThread:
        scope = {"type": "http", "headers": [(b"content-type", b"application/json")]}
        return await json_body(NotingItsThread)(Request(scope, receive))

    with pytest.raises(InvalidInput) as refused:
        asyncio.run(read())
    assert len(refused.value.errors) == 100
    assert NotingItsThread.threads
    assert threading.get_ident() not in NotingItsThread.threads
