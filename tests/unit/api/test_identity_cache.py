from __future__ import annotations

import asyncio
import threading

import pytest

from app.api.identity_cache import IdentityCache
from app.errors import Unauthenticated
from app.operations.administration.api_keys import Identity
from tests.waiting import HANGS_AFTER

OWNER, LATER = Identity("key:a", frozenset({"predict"})), Identity("key:b", frozenset())


class Keys:
    """A slow look into a database, counted."""

    def __init__(self) -> None:
        self.looks = 0
        self.asked = threading.Semaphore(0)
        self.may_answer = threading.Event()
        self.owner: Identity | None = OWNER

    def look_up(self, presented: str | None) -> Identity:
        assert presented == "secret"
        self.looks += 1
        self.asked.release()
        owner = self.owner
        assert self.may_answer.wait(timeout=HANGS_AFTER)
        if owner is None:
            raise Unauthenticated
        return owner


async def asked(cache: IdentityCache, keys: Keys, number: int) -> list[asyncio.Task[Identity]]:
    """So many requests with one key, all waiting."""
    tasks = [asyncio.create_task(cache.find("secret", keys.look_up)) for _ in range(number)]
    await asyncio.to_thread(keys.asked.acquire)
    return tasks


def test_many_requests_with_one_key_share_one_look() -> None:
    async def scenario() -> None:
        cache, keys = IdentityCache(), Keys()
        tasks = await asked(cache, keys, 20)
        tasks[0].cancel()  # the first one leaves
        keys.may_answer.set()
        assert await asyncio.gather(*tasks[1:]) == [OWNER] * 19
        assert await cache.find("secret", keys.look_up) == OWNER
        assert keys.looks == 1

    asyncio.run(scenario())


def test_a_refusal_reaches_all_and_is_not_kept() -> None:
    async def scenario() -> None:
        cache, keys = IdentityCache(), Keys()
        keys.owner = None
        tasks = await asked(cache, keys, 3)
        keys.may_answer.set()
        for task in tasks:
            with pytest.raises(Unauthenticated):
                await task
        keys.owner = OWNER
        assert await cache.find("secret", keys.look_up) == OWNER
        assert keys.looks == 2

    asyncio.run(scenario())


def test_whoever_asks_after_a_change_is_not_answered_by_a_look_from_before() -> None:
    async def scenario() -> None:
        cache, keys = IdentityCache(), Keys()
        before = await asked(cache, keys, 1)
        keys.owner = LATER
        cache.clear()
        after = asyncio.create_task(cache.find("secret", keys.look_up))
        await asyncio.to_thread(keys.asked.acquire)
        keys.may_answer.set()
        assert await before[0] == OWNER
        assert await after == LATER
        assert await cache.find("secret", keys.look_up) == LATER

    asyncio.run(scenario())
