"""Signing keys as files, and the public keys that a verifier is given.

Two keys for two purposes: ECDSA P-256 signs certificates (what OpenSSF model signing and cosign check), Ed25519 signs
checkpoints (what C2SP's notes ask for). A checkpoint's key carries the log's origin as its name, so both are one line
in the form of Go's sumdb notes.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from app.errors import InvalidInput
from app.evidence.encoding import decode_base64, encode_base64
from app.evidence.note import NoteKey, NoteSigner
from app.files import storage_faults, sync_folder, write_durably

CERTIFICATE_KEY, CERTIFICATE_PUBLIC = "certificate.key", "certificate.pub"
LOG_KEY, LOG_PUBLIC = "log.key", "log.pub"
_PRIVATE = "PRIVATE+KEY"
_ED25519 = b"\x01"
_PRIVATE_MODE = 0o600
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True)
class PublicKeys:
    """What a verifier trusts: keys for certificates and for checkpoints, old ones too after a rotation."""

    certificate: tuple[ec.EllipticCurvePublicKey, ...]
    log: tuple[NoteKey, ...]

    def to_json(self) -> str:
        """`certificate_keys` (PEM) and `log_keys` (verifier keys), as `from_json` reads them."""
        pems = [public_pem(key).decode() for key in self.certificate]
        return json.dumps({"certificate_keys": pems, "log_keys": [str(key) for key in self.log]}, indent=2)

    @classmethod
    def from_json(cls, text: str) -> PublicKeys:
        """Read `to_json`'s answer, in which more fields may stand; raises InvalidInput."""
        try:
            content = json.loads(text)
            pems, notes = content["certificate_keys"], content["log_keys"]
            return cls(tuple(_public_key(pem.encode()) for pem in pems), tuple(NoteKey.parse(note) for note in notes))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as fault:
            raise InvalidInput(
                f"these are not public keys: {fault!r}; needed are certificate_keys, each a PEM text, and log_keys, each "
                "a line like name+id+key"
            ) from fault


def generate(folder: Path, origin: str) -> None:
    """Make both keys in a folder: private halves with mode 0600, public halves beside them.

    Raises StorageUnavailable where they cannot be written or are there already, ValueError for an origin that cannot
    be a key's name.
    """
    certificate, log = ec.generate_private_key(ec.SECP256R1()), NoteSigner(origin, Ed25519PrivateKey.generate())
    pem = certificate.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    seed = encode_base64(_ED25519 + log.private.private_bytes_raw())
    private = f"{_PRIVATE}+{origin}+{log.key.id.hex()}+{seed}\n".encode()
    with storage_faults(folder):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    _write_private(folder / CERTIFICATE_KEY, pem)
    _write_private(folder / LOG_KEY, private)
    write_durably(folder / CERTIFICATE_PUBLIC, public_pem(certificate.public_key()))
    write_durably(folder / LOG_PUBLIC, f"{log.key}\n".encode())
    sync_folder(folder)


def load_certificate_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """The P-256 key of an unencrypted PEM file; raises InvalidInput for another key or a file that others may read."""
    try:
        key = load_pem_private_key(_read_private(path), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as fault:
        raise InvalidInput(f"{path} is not an unencrypted private key in PEM; make one with `generate`") from fault
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise InvalidInput(f"{path} is not an ECDSA key on the curve P-256")
    return key


def load_log_key(path: Path) -> NoteSigner:
    """The Ed25519 key of a file and the origin it signs for; raises InvalidInput as `load_certificate_key` does."""
    try:
        line = _read_private(path).decode().removesuffix("\n")
        name, key_id, material = line.removeprefix(f"{_PRIVATE}+").split("+", 2)
        content = decode_base64(material)
        signer = NoteSigner(name, Ed25519PrivateKey.from_private_bytes(content[1:]))
    except ValueError as fault:
        raise InvalidInput(f"{path} is not a private key of a log: {_PRIVATE}+origin+id+key is needed") from fault
    if not line.startswith(_PRIVATE) or content[:1] != _ED25519 or signer.key.id.hex() != key_id:
        raise InvalidInput(f"the parts of the key in {path} do not belong together")
    return signer


def load_public_keys(certificate_paths: Sequence[Path], log_paths: Sequence[Path]) -> PublicKeys:
    """The keys of public files (`certificate.pub`: PEM, `log.pub`: a verifier key); raises InvalidInput."""
    try:
        certificate = tuple(_public_key(path.read_bytes()) for path in certificate_paths)
        log = tuple(NoteKey.parse(path.read_text().removesuffix("\n")) for path in log_paths)
    except (ValueError, OSError) as fault:
        raise InvalidInput(f"a public key cannot be read: {fault}") from fault
    return PublicKeys(certificate, log)


def public_pem(key: ec.EllipticCurvePublicKey) -> bytes:
    """A public key as PEM."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def key_id(key: ec.EllipticCurvePublicKey) -> str:
    """SHA-256 of the key's DER form (SubjectPublicKeyInfo), in hex."""
    return sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _public_key(pem: bytes) -> ec.EllipticCurvePublicKey:
    try:
        key = load_pem_public_key(pem)
    except UnsupportedAlgorithm as fault:
        raise ValueError("a key of an unknown kind") from fault
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ValueError("a certificate's key is ECDSA on the curve P-256")  # noqa: TRY004  the file is wrong, no caller
    return key


def _write_private(path: Path, content: bytes) -> None:
    with storage_faults(path.parent):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE_MODE))
        with path.open("r+b") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())


def _read_private(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & _OTHERS:
                raise InvalidInput(f"others may read {path}; make it private: chmod 600 {path}")
            return file.read()
    except OSError as fault:
        raise InvalidInput(f"the key {path} cannot be read: {fault.strerror}") from fault
