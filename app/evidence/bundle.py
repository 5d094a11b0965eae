"""A signed statement in the form that other tools check: a DSSE envelope in a Sigstore bundle v0.3, ECDSA P-256.

Envelope: github.com/secure-systems-lab/dsse (protocol.md). Bundle: sigstore_bundle.proto of sigstore/protobuf-specs, with a
public key's hint in place of a certificate. The file is canonical JSON, so that one statement and one signature have one
file, and reading it forgives nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from app.evidence.encoding import canonical, decode_base64, decode_canonical, encode_base64
from app.evidence.findings import DoesNotHold, Reason
from app.evidence.keys import key_id

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
MAX_BUNDLE_BYTES = 16 * 2**20


@dataclass(frozen=True)
class Bundle:
    """What was signed, the signature in DER, and the id of the key that is said to have made it (`keys.key_id`)."""

    payload: bytes
    signature: bytes
    key_id: str

    def to_bytes(self) -> bytes:
        """The file."""
        envelope = {
            "payload": encode_base64(self.payload),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{"keyid": self.key_id, "sig": encode_base64(self.signature)}],
        }
        material = {"publicKey": {"hint": self.key_id}, "tlogEntries": []}
        return canonical({"mediaType": MEDIA_TYPE, "verificationMaterial": material, "dsseEnvelope": envelope})

    @classmethod
    def parse(cls, data: bytes) -> Bundle:
        """Read a file that `to_bytes` wrote.

        Raises DoesNotHold: `bundle-malformed`, `not-canonical`, `media-type-wrong`, `payload-type-wrong`, and
        `key-hint-wrong` where bundle and envelope name different keys.
        """
        outer = _fields(
            decode_canonical(data, Reason.BUNDLE_MALFORMED),
            "the bundle",
            {"mediaType": str, "verificationMaterial": dict, "dsseEnvelope": dict},
        )
        _demand(outer["mediaType"] == MEDIA_TYPE, Reason.MEDIA_TYPE_WRONG, f"mediaType is not {MEDIA_TYPE}")
        material = _fields(
            outer["verificationMaterial"], "verificationMaterial", {"publicKey": dict, "tlogEntries": list}
        )
        hint = _fields(material["publicKey"], "publicKey", {"hint": str})["hint"]
        _demand(not material["tlogEntries"], Reason.BUNDLE_MALFORMED, "tlogEntries must be empty")
        return _envelope(outer["dsseEnvelope"], hint)

    def verify(self, keys: Collection[ec.EllipticCurvePublicKey]) -> None:
        """Raise DoesNotHold unless the key of this id is given (`key-unknown`) and made the signature (`signature-wrong`)."""
        key = next((key for key in keys if key_id(key) == self.key_id), None)
        if key is None:
            raise DoesNotHold(Reason.KEY_UNKNOWN, f"the certificate names the key {self.key_id}, which is not given")
        try:
            key.verify(self.signature, pre_authentication_encoding(self.payload), ec.ECDSA(SHA256()))
        except InvalidSignature as fault:
            detail = "the signature is not one of this statement by the key it names"
            raise DoesNotHold(Reason.SIGNATURE_WRONG, detail) from fault


def sign(payload: bytes, key: ec.EllipticCurvePrivateKey) -> Bundle:
    """Sign the bytes of a statement."""
    signature = key.sign(pre_authentication_encoding(payload), ec.ECDSA(SHA256()))
    return Bundle(payload, signature, key_id(key.public_key()))


def pre_authentication_encoding(payload: bytes) -> bytes:
    """The bytes that are signed: DSSE's PAE over payload type and payload, each behind its length."""
    kind = PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def _envelope(envelope: Any, hint: str) -> Bundle:
    found = _fields(envelope, "dsseEnvelope", {"payload": str, "payloadType": str, "signatures": list})
    _demand(found["payloadType"] == PAYLOAD_TYPE, Reason.PAYLOAD_TYPE_WRONG, f"payloadType is not {PAYLOAD_TYPE}")
    _demand(len(found["signatures"]) == 1, Reason.BUNDLE_MALFORMED, "an envelope in a bundle has one signature")
    signature = _fields(found["signatures"][0], "signatures/0", {"keyid": str, "sig": str})
    _demand(signature["keyid"] == hint, Reason.KEY_HINT_WRONG, "keyid of the envelope is not the bundle's hint")
    return Bundle(_decoded(found["payload"], "payload"), _decoded(signature["sig"], "sig"), hint)


def _fields(content: Any, where: str, wanted: Mapping[str, type]) -> dict[str, Any]:
    """The content, if it is an object of exactly these fields, each of its type."""
    if not isinstance(content, dict):
        raise DoesNotHold(Reason.BUNDLE_MALFORMED, f"{where} is not an object")
    if content.keys() != wanted.keys():
        others = ", ".join(sorted(content.keys() ^ wanted.keys()))
        raise DoesNotHold(Reason.BUNDLE_MALFORMED, f"{where} has unknown or missing fields: {others}")
    for name, kind in wanted.items():
        _demand(type(content[name]) is kind, Reason.BUNDLE_MALFORMED, f"{where}/{name} is of the wrong type")
    return content


def _decoded(text: str, name: str) -> bytes:
    try:
        return decode_base64(text)
    except ValueError as fault:
        raise DoesNotHold(Reason.NOT_CANONICAL, f"{name}: {fault}") from fault


def _demand(holds: bool, reason: Reason, detail: str) -> None:  # noqa: FBT001  a condition reads best in first place
    if not holds:
        raise DoesNotHold(reason, detail)
