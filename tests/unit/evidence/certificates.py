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
from app.evidence.predicate import (
    Build,
    Certificate,
    Control,
    Criterion,
    Digest,
    Figure,
    GateCriterion,
    Method,
    ModelVersion,
    NumRows,
    RequestEntry,
    RetrainedFigure,
    Target,
    Times,
    Verification,
)
from app.evidence.proof import Proof
from app.evidence.statement import Statement
from app.specs.claims import Claim

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


def version(number: int, name: str) -> ModelVersion:
    return ModelVersion(
        model="digits", version=number, manifest_digest=digest_of(f"{name}, manifest"), weights_digest=digest_of(name)
    )


def criterion(name: str, needed_for: Claim, *, power: bool | None = None) -> Criterion:
    """One that holds, by one figure beside one retrained model."""
    figure = Figure(
        metric="forget-accuracy",
        metric_version="1",
        set="test_forget",
        layer=None,
        setting=None,
        value="0.01",
        interval=None,
        original="0.98",
        struck=None,
        retrained=(RetrainedFigure(seed="11", value="0"),),
        direction="at-most",
        at_least=None,
        at_most="0.05",
        passed=True,
        power=power,
    )
    return Criterion(
        name=name, statement="It is forgotten.", needed_for=needed_for, passed=True, power=power, figures=(figure,)
    )


def statement_on(model: Path, request: str = REQUEST, origin: str = LOG_SIGNER.name) -> Statement:
    times = Times(
        received_at="2026-11-01T10:00:00Z",
        started_at="2026-11-01T10:00:01Z",
        finished_at="2026-11-01T10:00:09.25Z",
        issued_at="2026-11-01T10:00:10Z",
    )
    predicate = Certificate(
        request=request,
        input=version(1, "before"),
        output=version(2, "after"),
        target=Target(classes=(3,)),
        method=Method(name="euk", parameters_digest=digest_of("parameters"), seed="7"),
        refusal="calibrate",
        build=Build(forgettery="0.1.0", code_digest=digest_of("code"), environment_digest=digest_of("environment")),
        sought="approximate",
        claim="edited",
        verdict="passed",
        gate=(
            GateCriterion(
                name="forget_accuracy",
                statement="The classes to forget are given their label less often than before, or never.",
                value="0",
                threshold="0.98",
                direction="below",
            ),
        ),
        verification=Verification(
            depth="fast",
            seed="0",
            weights_digest=digest_of("parameters of the network"),
            rows=(NumRows(set="test_forget", count="1000"),),
            criteria=(criterion("forgotten", "edited"), criterion("membership", "approximate", power=False)),
            control=Control(original_fails=True, retrained_pass=(), num_figures="1", num_with_power="1"),
            does_not_prove=("That no other attack finds more than the ones that were tried.",),
        ),
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
