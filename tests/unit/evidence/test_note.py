"""Notes are those of c2sp.org/signed-note, and nothing that only looks like one passes."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from app.evidence.findings import DoesNotHold, Reason
from app.evidence.note import MAX_NOTE_BYTES, NoteKey, NoteSigner, verified_text

# The specification's own example.
KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
NOTE = (
    "This is an example message.\n\n"
    "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)
SIGNER = NoteSigner("log.example/one", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
OTHER = NoteSigner("log.example/two", Ed25519PrivateKey.from_private_bytes(bytes(32)))


def reason_of(note: bytes, *keys: NoteKey) -> Reason:
    with pytest.raises(DoesNotHold) as refused:
        verified_text(note, keys)
    return refused.value.reason


def signature_line(note: bytes) -> str:
    return note.decode().rpartition("\n\n")[2]


def test_the_specifications_example_verifies() -> None:
    assert verified_text(NOTE.encode(), [NoteKey.parse(KEY)]) == "This is an example message.\n"


def test_a_key_of_another_length_is_no_ed25519_key() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        NoteKey("log.example/one", bytes(31))


def test_every_flipped_bit_of_the_example_fails() -> None:
    note, key = NOTE.encode(), NoteKey.parse(KEY)
    for bit in range(8 * len(note)):
        changed = bytearray(note)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(DoesNotHold):
            verified_text(bytes(changed), [key])


def test_verifier_keys_are_read_back() -> None:
    assert str(NoteKey.parse(KEY)) == KEY
    assert NoteKey.parse(str(SIGNER.key)) == SIGNER.key


@pytest.mark.parametrize(
    "text",
    [
        "",
        "example.com/foo",
        KEY + "\n",
        KEY.replace("530d903a", "530D903A"),
        KEY.replace("530d903a", "530d903b"),
        KEY.replace("example.com", "example com"),
        KEY.replace("+Ae", "+Be"),
        KEY[:-1],
        "+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
    ],
)
def test_verifier_keys_written_otherwise_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"key|base64"):
        NoteKey.parse(text)


@given(st.text(st.characters(min_codepoint=32, codec="utf-8") | st.just("\n"), max_size=200))
def test_any_text_is_read_back_from_its_note(text: str) -> None:
    assert verified_text(SIGNER.sign(text + "\n"), [SIGNER.key]) == text + "\n"


@pytest.mark.parametrize("text", ["", "no newline", "tab\t\n", "return\r\n"])
def test_a_text_that_no_note_can_hold_is_not_signed(text: str) -> None:
    with pytest.raises(ValueError, match="ends with a newline"):
        SIGNER.sign(text)


def test_signatures_of_unknown_keys_are_ignored_beside_a_known_one() -> None:
    note = OTHER.sign("text\n") + signature_line(SIGNER.sign("text\n")).encode()
    assert verified_text(note, [SIGNER.key]) == "text\n"


def test_a_note_signed_by_none_of_the_keys_is_refused() -> None:
    assert reason_of(OTHER.sign("text\n"), SIGNER.key) is Reason.KEY_UNKNOWN


def test_a_key_of_the_same_name_with_another_id_is_another_key() -> None:
    namesake = NoteSigner(SIGNER.name, OTHER.private)
    assert reason_of(namesake.sign("text\n"), SIGNER.key) is Reason.KEY_UNKNOWN
    both = SIGNER.sign("text\n") + signature_line(namesake.sign("text\n")).encode()
    assert verified_text(both, [SIGNER.key]) == "text\n"


def test_a_wrong_signature_of_a_known_key_spoils_the_note() -> None:
    wrong = SIGNER.sign("another\n")
    note = SIGNER.sign("text\n") + signature_line(wrong).encode()
    assert reason_of(note, SIGNER.key) is Reason.SIGNATURE_WRONG
    assert reason_of(wrong.replace(b"another", b"changed"), SIGNER.key) is Reason.SIGNATURE_WRONG


def test_sixteen_signatures_are_read_and_a_flood_is_not() -> None:
    note = SIGNER.sign("text\n")
    line = signature_line(OTHER.sign("text\n")).encode()
    assert verified_text(note + 15 * line, [SIGNER.key]) == "text\n"
    assert reason_of(note + 100 * line, SIGNER.key) is Reason.NOTE_MALFORMED
    assert reason_of(b"x" * (MAX_NOTE_BYTES + 1), SIGNER.key) is Reason.NOTE_MALFORMED


def test_a_note_written_otherwise_is_refused() -> None:
    note = SIGNER.sign("text\n")
    name, encoded = signature_line(note).split()[1:]
    short = base64.b64encode(b"1234").decode()
    for changed in (
        note[:-1],
        note + b"\n",
        note + b"trailing",
        note.replace(b"\n\n", b"\n"),
        note.replace(b"\n", b"\r\n"),
        note.replace("— ".encode(), b"- "),
        note.replace(b"text", b"te\xffxt"),
        note.replace(b"text", b"te\x00xt"),
        note.replace(name.encode(), b"a+b"),
        note.replace(encoded.encode(), encoded.rstrip("=").encode()),
        note.replace(encoded.encode(), encoded.replace("=", "").encode() + b"===="),
        note.replace(encoded.encode(), short.encode()),
        note.replace(b" " + encoded.encode(), b""),
    ):
        assert reason_of(changed, SIGNER.key) is Reason.NOTE_MALFORMED, changed
