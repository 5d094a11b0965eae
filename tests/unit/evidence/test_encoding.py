"""What could have been written in another way is not read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.evidence.encoding import canonical, decode_base64, decode_canonical, decode_number, encode_base64
from app.evidence.findings import DoesNotHold, Reason

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.text(st.characters(codec="utf-8"), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_canonical_json_is_read_back(content: object) -> None:
    assert decode_canonical(canonical(content), Reason.BUNDLE_MALFORMED) == content


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b'"\\ud800"', Reason.BUNDLE_MALFORMED),
        (b"1" * 5000, Reason.BUNDLE_MALFORMED),
        (b"9007199254740992", Reason.BUNDLE_MALFORMED),
        (b'{"a":NaN}', Reason.BUNDLE_MALFORMED),
        (b"1e2", Reason.BUNDLE_MALFORMED),
        (b"1.0", Reason.BUNDLE_MALFORMED),
        (b"\xef\xbb\xbf{}", Reason.BUNDLE_MALFORMED),
        (b'{"a":1,"a":1}', Reason.NOT_CANONICAL),
        (b'{"b":1,"a":1}', Reason.NOT_CANONICAL),
        (b"-0", Reason.NOT_CANONICAL),
        (b'"\\u0061"', Reason.NOT_CANONICAL),
        (b"{} ", Reason.NOT_CANONICAL),
    ],
)
def test_json_written_otherwise_is_refused(data: bytes, reason: Reason) -> None:
    with pytest.raises(DoesNotHold) as refused:
        decode_canonical(data, reason)
    assert refused.value.reason is reason


@given(st.binary(max_size=40))
def test_any_bytes_are_read_back_from_base64(content: bytes) -> None:
    assert decode_base64(encode_base64(content)) == content


@pytest.mark.parametrize("text", ["A", "AA", "AA=", "AB==", "AAB=", "AA==\n", " AA==", "A-_=", "AA==AA==", "é"])
def test_base64_written_otherwise_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="base64"):
        decode_base64(text)


@pytest.mark.parametrize("text", ["", "01", "+1", "-1", "1_0", " 1", "1\n", "\N{ARABIC-INDIC DIGIT ONE}", "9" * 20])
def test_numbers_written_otherwise_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="decimal number"):
        decode_number(text)
