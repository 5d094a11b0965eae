"""Real certificates in a folder: a model, a statement about it, its bundle, and its proof from a small log."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.evidence import bundle, checkpoint
from app.evidence.certificate_check import BUNDLE_FILE, ISSUED_EVENT, PROOF_FILE
from app.evidence.encoding import canonical
from app.evidence.keys import PublicKeys
from app.evidence.merkle import hashes_of, inclusion_proof, leaf_hash, root_of
from app.evidence.model_check import subjects_of
from app.evidence.note import NoteSigner
from app.evidence.proof import Proof
from app.evidence.statement import (
    Build,
    Certificate,
    Digest,
    Measurement,
    Method,
    ModelVersion,
    RequestEntry,
    Statement,
    Target,
    Times,
)

REQUEST = "0b1c2d3e-4f50-4a6b-8c7d-9e0f1a2b3c4d"
OTHER_REQUEST = "1b1c2d3e-4f50-4a6b-8c7d-9e0f1a2b3c4d"
CERTIFICATE_KEY = ec.derive_private_key(12345, ec.SECP256R1())
LOG_SIGNER = NoteSigner("log.example/forgettery", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
KEYS = PublicKeys((CERTIFICATE_KEY.public_key(),), (LOG_SIGNER.key,))


@dataclass(frozen=True)
class Issued:
    """What was made, so that a test can change one part of it."""

    folder: Path
    model: Path
    statement: Statement
    entries: tuple[bytes, ...]
    index: int


def digest_of(text: str) -> Digest:
    return Digest(sha256=sha256(text.encode()).hexdigest())


def write_model(folder: Path, content: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(content.encode())
    (folder / "manifest.json").write_bytes(b"{}")
    return folder


def statement_on(model: Path, request: str = REQUEST, origin: str = LOG_SIGNER.name) -> Statement:
    times = Times(
        received_at="2026-11-01T10:00:00Z",
        started_at="2026-11-01T10:00:01Z",
        finished_at="2026-11-01T10:00:09.25Z",
        issued_at="2026-11-01T10:00:10Z",
    )
    accuracy = Measurement(
        metric="forget_accuracy",
        metric_version="1",
        before="0.98",
        after="0.01",
        reference=None,
        threshold="0.1",
        passed=True,
    )
    predicate = Certificate(
        request=request,
        input=ModelVersion(model="digits", version=1, digest=digest_of("before")),
        output=ModelVersion(model="digits", version=2, digest=digest_of("after")),
        target=Target(classes=(3,)),
        method=Method(name="edit", parameters_digest=digest_of("parameters"), seed="7"),
        build=Build(forgettery="0.1.0", code_digest=digest_of("code"), environment_digest=digest_of("environment")),
        claim="edited",
        verdict="passed",
        measurements=(accuracy,),
        times=times,
        log=RequestEntry(origin=origin, index="2", leaf_hash=digest_of("requested").sha256),
    )
    return Statement(subject=subjects_of(model), predicate=predicate)


def issued_entry(statement: Statement, index: int) -> bytes:
    key = bundle.sign(b"", CERTIFICATE_KEY).key_id
    return canonical(
        {
            "format": 1,
            "index": index,
            "event": ISSUED_EVENT,
            "forget_request": statement.predicate.request,
            "model": statement.predicate.output.model,
            "version": statement.predicate.output.version,
            "details": {
                "statement": "sha256:" + sha256(statement.to_bytes()).hexdigest(),
                "certificate_key": "sha256:" + key,
            },
        }
    )


def issue(folder: Path, *, content: str = "weights", request: str = REQUEST) -> Issued:
    """A certificate whose entry is number 5 of a log of 9."""
    model = write_model(folder / "model", content)
    statement = statement_on(model, request)
    entries = [f"entry {index}".encode() for index in range(9)]
    entries[5] = issued_entry(statement, 5)
    return write(Issued(folder, model, statement, tuple(entries), 5))


def write(issued: Issued) -> Issued:
    """Write both files of a certificate."""
    signed = bundle.sign(issued.statement.to_bytes(), CERTIFICATE_KEY)
    (issued.folder / BUNDLE_FILE).write_bytes(signed.to_bytes())
    (issued.folder / PROOF_FILE).write_bytes(proof_of(issued).to_bytes())
    return issued


def proof_of(issued: Issued, signer: NoteSigner = LOG_SIGNER) -> Proof:
    leaves = [leaf_hash(entry) for entry in issued.entries]
    hashes = inclusion_proof(issued.index, len(leaves), hashes_of(leaves))
    note = checkpoint.sign(len(leaves), root_of(leaves), signer)
    return Proof(issued.index, tuple(hashes), note, issued.entries[issued.index])
