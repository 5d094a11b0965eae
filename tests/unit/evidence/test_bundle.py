"""Bundles are what other tools check, and are read without forgiveness."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.evidence import bundle
from app.evidence.bundle import MEDIA_TYPE, Bundle, pre_authentication_encoding
from app.evidence.encoding import canonical
from app.evidence.findings import DoesNotHold, Reason
from app.evidence.keys import public_pem
from tests.unit.evidence.certificates import CERTIFICATE_KEY

KEY = CERTIFICATE_KEY.public_key()
PAYLOAD = b'{"a":"b"}'


def reason_of(data: bytes) -> Reason:
    with pytest.raises(DoesNotHold) as refused:
        Bundle.parse(data)
    return refused.value.reason


def content() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(bundle.sign(PAYLOAD, CERTIFICATE_KEY).to_bytes())
    return found


def changed(path: str, value: object) -> bytes:
    """The bundle with one value replaced (or added) at a path."""
    found = content()
    *parents, last = path.split("/")
    place: Any = found
    for name in parents:
        place = place[int(name) if name.isdigit() else name]
    place[last] = value
    return canonical(found)


@given(st.binary(max_size=300))
def test_any_payload_is_signed_and_read_back(payload: bytes) -> None:
    signed = bundle.sign(payload, CERTIFICATE_KEY)
    read = Bundle.parse(signed.to_bytes())
    assert read == signed
    read.verify([KEY])


def test_what_is_signed_is_the_encoding_of_the_specification() -> None:
    assert pre_authentication_encoding(PAYLOAD) == b'DSSEv1 28 application/vnd.in-toto+json 9 {"a":"b"}'


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", Reason.BUNDLE_MALFORMED),
        (b"\xff", Reason.BUNDLE_MALFORMED),
        (b"[]", Reason.BUNDLE_MALFORMED),
        (b"[" * 100_000, Reason.BUNDLE_MALFORMED),
        (changed("extra", 1), Reason.BUNDLE_MALFORMED),
        (changed("extra", 1.5), Reason.BUNDLE_MALFORMED),
        (changed("dsseEnvelope/extra", 1), Reason.BUNDLE_MALFORMED),
        (changed("dsseEnvelope/signatures/0/cert", ""), Reason.BUNDLE_MALFORMED),
        (changed("verificationMaterial/certificate", {}), Reason.BUNDLE_MALFORMED),
        (changed("verificationMaterial/publicKey/rawBytes", ""), Reason.BUNDLE_MALFORMED),
        (changed("verificationMaterial/tlogEntries", [{}]), Reason.BUNDLE_MALFORMED),
        (changed("verificationMaterial", []), Reason.BUNDLE_MALFORMED),
        (changed("verificationMaterial/publicKey/hint", 1), Reason.BUNDLE_MALFORMED),
        (changed("dsseEnvelope/signatures", []), Reason.BUNDLE_MALFORMED),
        (changed("dsseEnvelope/signatures", 2 * content()["dsseEnvelope"]["signatures"]), Reason.BUNDLE_MALFORMED),
        (changed("dsseEnvelope/signatures", [1]), Reason.BUNDLE_MALFORMED),
        (changed("dsseEnvelope/payload", None), Reason.BUNDLE_MALFORMED),
        (changed("mediaType", MEDIA_TYPE.replace("0.3", "0.2")), Reason.MEDIA_TYPE_WRONG),
        (changed("dsseEnvelope/payloadType", "application/json"), Reason.PAYLOAD_TYPE_WRONG),
        (changed("dsseEnvelope/signatures/0/keyid", "0" * 64), Reason.KEY_HINT_WRONG),
        (changed("verificationMaterial/publicKey/hint", "0" * 64), Reason.KEY_HINT_WRONG),
        (changed("dsseEnvelope/payload", "e30"), Reason.NOT_CANONICAL),
        (changed("dsseEnvelope/payload", "e31="), Reason.NOT_CANONICAL),
        (changed("dsseEnvelope/payload", "e3 0="), Reason.NOT_CANONICAL),
        (changed("dsseEnvelope/payload", "_-8="), Reason.NOT_CANONICAL),
        (changed("dsseEnvelope/payload", "é"), Reason.NOT_CANONICAL),
    ],
)
def test_a_bundle_written_otherwise_is_refused(data: bytes, reason: Reason) -> None:
    assert reason_of(data) is reason


def test_bytes_before_after_and_between_are_refused() -> None:
    data = bundle.sign(PAYLOAD, CERTIFICATE_KEY).to_bytes()
    for other in (data + b"\n", b" " + data, data.replace(b":", b": ", 1), json.dumps(json.loads(data)).encode()):
        assert reason_of(other) is Reason.NOT_CANONICAL
    assert reason_of(data + data) is Reason.BUNDLE_MALFORMED
    twice = data.replace(b'{"dsseEnvelope"', b'{"mediaType":"x","dsseEnvelope"')
    assert reason_of(twice) is Reason.NOT_CANONICAL


@pytest.mark.parametrize("name", ["mediaType", "verificationMaterial", "dsseEnvelope"])
def test_a_missing_field_is_refused(name: str) -> None:
    found = content()
    del found[name]
    assert reason_of(canonical(found)) is Reason.BUNDLE_MALFORMED


def test_every_flipped_bit_of_the_signature_fails() -> None:
    signed = bundle.sign(PAYLOAD, CERTIFICATE_KEY)
    for bit in range(8 * len(signed.signature)):
        flipped = bytearray(signed.signature)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(DoesNotHold):
            Bundle(PAYLOAD, bytes(flipped), signed.key_id).verify([KEY])
    for signature in (signed.signature + b"\x00", b"", signed.signature[:-1]):
        with pytest.raises(DoesNotHold):
            Bundle(PAYLOAD, signature, signed.key_id).verify([KEY])


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not on this machine")
def test_openssl_accepts_the_signature_and_refuses_a_changed_statement(tmp_path: Path) -> None:
    envelope = json.loads(bundle.sign(PAYLOAD, CERTIFICATE_KEY).to_bytes())["dsseEnvelope"]
    payload = base64.b64decode(envelope["payload"])
    (tmp_path / "key.pub").write_bytes(public_pem(KEY))
    (tmp_path / "signature").write_bytes(base64.b64decode(envelope["signatures"][0]["sig"]))
    verified = {}
    for name, found in (("true", payload), ("changed", payload.replace(b"b", b"c"))):
        kind = envelope["payloadType"]
        (tmp_path / name).write_bytes(f"DSSEv1 {len(kind)} {kind} {len(found)} ".encode() + found)
        command = ["openssl", "dgst", "-sha256", "-verify", "key.pub", "-signature", "signature", name]
        result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        verified[name] = (result.returncode, result.stdout.strip())
    assert verified == {"true": (0, "Verified OK"), "changed": (1, "Verification failure")}


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not on this machine")
def test_openssl_computes_the_same_key_id(tmp_path: Path) -> None:
    (tmp_path / "key.pub").write_bytes(public_pem(KEY))
    command = "openssl pkey -pubin -in key.pub -outform DER | openssl dgst -sha256 -r"
    result = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert result.stdout.split()[0] == bundle.sign(PAYLOAD, CERTIFICATE_KEY).key_id
