from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.prediction.protocol import Answer, Ask, FrameReader, Header, Ready, Refusal, VersionKey, encode

IDS = st.integers(0, 2**62)
SIZES = st.integers(0, 2**31)
VERSIONS = st.builds(VersionKey, st.text(max_size=70), SIZES, st.text(max_size=80), st.text(max_size=80))
HEADERS: st.SearchStrategy[Header] = st.one_of(
    st.builds(Ask, IDS, VERSIONS, st.tuples(SIZES, SIZES, SIZES, SIZES), st.none() | SIZES),
    st.builds(Ready),
    st.builds(Answer, IDS, st.tuples(SIZES, SIZES)),
    st.builds(Refusal, IDS, st.text(max_size=30), st.text(max_size=300)),
)
FRAMES = st.lists(st.tuples(HEADERS, st.binary(max_size=200)), max_size=8)


@given(FRAMES, st.data())
def test_frames_come_out_as_they_went_in_however_the_stream_is_cut(
    frames: list[tuple[Header, bytes]], data: st.DataObject
) -> None:
    stream = b"".join(encode(header, payload) for header, payload in frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    reader = FrameReader()
    found = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += [(header, bytes(payload)) for header, payload in reader.feed(stream[start:end])]
    assert found == frames


def test_a_stream_of_something_else_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="longer than any"):
        list(FrameReader().feed(b"HTTP/1.1 200 OK\r\n"))
