from __future__ import annotations

import gzip
import json
import tracemalloc
import zlib
from collections.abc import Iterator

import httpx
import pytest

from app.database.engine import Database
from app.settings import Settings
from tests.real_server import ADMIN_KEY, StartServer, assert_problem
from tests.stored_versions import record_model, record_version, store_version

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

TRAIN = "/v1/models/digits/train"
PREDICT = "/v1/models/digits/predict"
BODY = json.dumps({"classes": [1, 2]}).encode()
MEBIBYTE = 1024 * 1024


@pytest.fixture(autouse=True)
def _model(settings: Settings, database: Database) -> None:
    record_version(database, record_model(database), store_version(settings.home))


def encoded(coding: str) -> dict[str, str]:
    return {"Content-Type": "application/json", "Content-Encoding": coding}


@pytest.mark.parametrize(
    ("coding", "content"),
    [
        ("gzip", gzip.compress(BODY, mtime=0)),
        ("GZip", gzip.compress(BODY, mtime=0)),
        ("x-gzip", gzip.compress(BODY, mtime=0)),
        ("deflate", zlib.compress(BODY)),
        ("identity", BODY),
    ],
)
def test_an_encoded_body_is_the_body_that_it_decodes_to(client: httpx.Client, coding: str, content: bytes) -> None:
    key = {"Idempotency-Key": "the-same"}
    first = client.post(TRAIN, content=content, headers=encoded(coding) | key)
    assert first.status_code == 202, first.text
    again = client.post(TRAIN, json={"classes": [1, 2]}, headers=key)
    assert (again.status_code, again.headers["idempotency-replayed"]) == (202, "true")
    assert again.json() == first.json()


def test_an_encoded_body_may_come_in_the_smallest_pieces(client: httpx.Client) -> None:
    def pieces() -> Iterator[bytes]:
        for byte in gzip.compress(BODY, mtime=0):
            yield bytes([byte])

    assert client.post(TRAIN, content=pieces(), headers=encoded("gzip")).status_code == 202


@pytest.mark.parametrize("coding", ["br", "zstd", "compress", "gzip, deflate", "identity, gzip", "nonsense"])
def test_another_encoding_is_415_and_the_answer_says_which_are_decoded(client: httpx.Client, coding: str) -> None:
    for path in (TRAIN, PREDICT, "/v1/models", "/v1/models/digits/forget"):
        answer = client.post(path, content=BODY, headers=encoded(coding))
        assert_problem(answer, 415, "unsupported-content-encoding")
        assert answer.headers["accept-encoding"] == "gzip, deflate, identity"


def test_who_has_no_key_learns_nothing_of_encodings(start_server: StartServer) -> None:
    client = start_server(admin_key=ADMIN_KEY)
    assert_problem(client.post(TRAIN, content=BODY, headers=encoded("br")), 401, "unauthenticated")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        BODY,
        gzip.compress(BODY, mtime=0)[:-1],
        gzip.compress(BODY, mtime=0)[:-8] + bytes(8),
        gzip.compress(BODY, mtime=0) + b"more",
        gzip.compress(BODY, mtime=0) + gzip.compress(BODY, mtime=0),
        zlib.compress(BODY),
    ],
)
def test_what_is_not_one_whole_stream_is_422(client: httpx.Client, content: bytes) -> None:
    assert_problem(client.post(TRAIN, content=content, headers=encoded("gzip")), 422, "unreadable-input")


def test_the_limit_of_a_body_is_that_of_what_it_decodes_to(client: httpx.Client) -> None:
    blanks = b" " * (4 * MEBIBYTE - len(BODY))
    fits = gzip.compress(BODY + blanks)
    assert len(fits) < 10_000
    assert client.post(TRAIN, content=fits, headers=encoded("gzip")).status_code == 202
    too_long = gzip.compress(BODY + blanks + b" ")
    assert_problem(client.post(TRAIN, content=too_long, headers=encoded("gzip")), 413, "payload-too-large")


def test_no_more_may_be_sent_than_may_be_read_even_where_it_decodes_to_nothing(start_server: StartServer) -> None:
    client = start_server(max_body_mb=0.01)
    empty_blocks = b"\x00\x00\x00\xff\xff" * 10_000

    def endless() -> Iterator[bytes]:
        yield zlib.compress(b"")[:2]
        yield from (empty_blocks[start : start + 1000] for start in range(0, len(empty_blocks), 1000))

    assert_problem(client.post(TRAIN, content=endless(), headers=encoded("deflate")), 413, "payload-too-large")


def test_of_a_bomb_no_more_is_decoded_than_may_be_read(start_server: StartServer) -> None:
    client = start_server(max_body_mb=2)
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(bytes(MEBIBYTE)) for _ in range(512)) + packer.flush()
    assert len(bomb) < MEBIBYTE
    client.get("/healthz")
    tracemalloc.start()
    try:
        assert_problem(client.post(PREDICT, content=bomb, headers=encoded("gzip")), 413, "payload-too-large")
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 10 * MEBIBYTE, most
