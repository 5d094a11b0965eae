"""Signed notes (c2sp.org/signed-note): a text, an empty line, and a line for each Ed25519 signature.

A key is known by its name and a key id of four bytes, both of which stand in each signature line. As verifier key
(`name+id+base64`) it fits on one line.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from app.evidence.encoding import decode_base64, encode_base64
from app.evidence.findings import DoesNotHold, Reason

MAX_NOTE_BYTES = 64 * 1024
MAX_SIGNATURES = 100
_ED25519 = b"\x01"
"""The signature type of plain Ed25519."""
_ED25519_BYTES = 32
_ID_BYTES = 4
_DASH = "\N{EM DASH} "


@dataclass(frozen=True)
class NoteKey:
    """A public key that may sign notes under a name. `public` is the 32 bytes of an Ed25519 key."""

    name: str
    public: bytes

    def __post_init__(self) -> None:
        check_name(self.name)
        if len(self.public) != _ED25519_BYTES:
            raise ValueError(f"an Ed25519 key has {_ED25519_BYTES} bytes")

    @property
    def id(self) -> bytes:
        """The first four bytes of a hash over name, signature type and key."""
        return sha256(self.name.encode() + b"\n" + _ED25519 + self.public).digest()[:_ID_BYTES]

    def __str__(self) -> str:
        """The verifier key."""
        return f"{self.name}+{self.id.hex()}+{encode_base64(_ED25519 + self.public)}"

    @classmethod
    def parse(cls, text: str) -> NoteKey:
        """Read a verifier key; raises ValueError unless all of it is as `str` writes it."""
        name, _, rest = text.partition("+")
        _, _, material = rest.partition("+")
        content = decode_base64(material)
        if content[:1] != _ED25519:
            raise ValueError("the verifier key is not one of type Ed25519")
        key = cls(name, content[1:])
        if str(key) != text:
            raise ValueError("the verifier key's id is not that of its name and key")
        return key


@dataclass(frozen=True)
class NoteSigner:
    """A private key with the name that it signs under."""

    name: str
    private: Ed25519PrivateKey

    @property
    def key(self) -> NoteKey:
        """The public half."""
        return NoteKey(self.name, self.private.public_key().public_bytes_raw())

    def sign(self, text: str, *others: NoteSigner) -> bytes:
        """The note of a text, signed by this key and then by others; raises ValueError for a text that cannot be a note's."""
        if not text.endswith("\n") or not _is_printable(text):
            raise ValueError("a note's text ends with a newline and has no other control character")
        return "".join([text, "\n", *(signer.signature_line(text) for signer in (self, *others))]).encode()

    def signature_line(self, text: str) -> str:
        """The line that a note of this text has for this key."""
        signature = self.key.id + self.private.sign(text.encode())
        return f"{_DASH}{self.name} {encode_base64(signature)}\n"


def verified_text(note: bytes, keys: Collection[NoteKey]) -> str:
    """The text of a note that at least one of the keys has signed.

    Signatures of unknown keys are ignored, as the format demands. Raises DoesNotHold: `note-malformed`, `not-canonical`,
    `signature-wrong` for a wrong signature of a known key, `key-unknown` where no signature is of a known key.
    """
    text, signatures = _parsed(note)
    known = {(key.name, key.id): key for key in keys}
    verified = False
    for name, key_id, signature in signatures:
        key = known.get((name, key_id))
        if key is not None:
            _verify(key, signature, text)
            verified = True
    if not verified:
        signers = ", ".join(f"{name}+{key_id.hex()}" for name, key_id, _ in signatures)
        raise DoesNotHold(Reason.KEY_UNKNOWN, f"the note is signed by none of the given keys, but by {signers}")
    return text


def check_name(name: str) -> None:
    """Raise ValueError unless a key may have this name."""
    if not name or "+" in name or not _is_printable(name) or any(character.isspace() for character in name):
        raise ValueError("a key's name is not empty and has no spaces, plus signs or control characters")


def _verify(key: NoteKey, signature: bytes, text: str) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(signature, text.encode())
    except InvalidSignature as fault:
        raise DoesNotHold(Reason.SIGNATURE_WRONG, f"the signature of {key.name} is not one of this text") from fault


def _parsed(note: bytes) -> tuple[str, list[tuple[str, bytes, bytes]]]:
    """The text, and of each signature the key's name, its id and the signature itself."""
    if len(note) > MAX_NOTE_BYTES:
        raise _malformed(f"a note of more than {MAX_NOTE_BYTES} bytes")
    try:
        content = note.decode()
    except UnicodeDecodeError as fault:
        raise _malformed("it is not UTF-8") from fault
    # The last empty line: the text may have others.
    text, separator, lines = content.rpartition("\n\n")
    if not separator or not lines.endswith("\n") or not _is_printable(content):
        raise _malformed("it is not a text, an empty line and signature lines")
    signatures = [_signature(line) for line in lines.removesuffix("\n").split("\n")]
    if len(signatures) > MAX_SIGNATURES:
        raise _malformed(f"it has more than {MAX_SIGNATURES} signatures")
    return text + "\n", signatures


def _signature(line: str) -> tuple[str, bytes, bytes]:
    name, separator, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not separator:
        raise _malformed("a signature line is not a dash, a name and a signature")
    try:
        check_name(name)
        content = decode_base64(encoded)
    except ValueError as fault:
        raise _malformed(str(fault)) from fault
    if len(content) <= _ID_BYTES:
        raise _malformed("a signature is too short")
    return name, content[:_ID_BYTES], content[_ID_BYTES:]


def _is_printable(text: str) -> bool:
    return all(character >= " " or character == "\n" for character in text)


def _malformed(fault: str) -> DoesNotHold:
    return DoesNotHold(Reason.NOTE_MALFORMED, f"not a signed note: {fault}")
