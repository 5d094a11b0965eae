"""Check a certificate offline: two files and the operator's public keys, nothing else.

The list is the generator below, in its order. It stops at the first check that fails; no check relies on anything that
an earlier one has not established.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from app.evidence import checkpoint
from app.evidence.bundle import MAX_BUNDLE_BYTES, Bundle
from app.evidence.encoding import decode_canonical
from app.evidence.findings import DoesNotHold, Findings, Reason, examine
from app.evidence.keys import PublicKeys
from app.evidence.model_check import check_files
from app.evidence.proof import Proof
from app.evidence.reading import read_file
from app.evidence.statement import Statement

BUNDLE_FILE = "certificate.sigstore.json"
PROOF_FILE = "certificate.tlog-proof"
MAX_PROOF_BYTES = 2**20
ISSUED_EVENT = "certificate.issued"
"""Event of the entry that logs a certificate. Its details: `statement` (`sha256:` and hex) and `certificate_key`."""


def check_certificate(folder: Path, keys: PublicKeys, model_folder: Path | None = None) -> Findings:
    """Check the certificate in a folder, and the model's files against it where their folder is given."""
    return examine(_checks(folder, keys, model_folder))


def _checks(folder: Path, keys: PublicKeys, model_folder: Path | None) -> Iterator[str]:
    yield "the certificate and its log proof are there"
    bundle_file = read_file(folder / BUNDLE_FILE, MAX_BUNDLE_BYTES)
    proof_file = read_file(folder / PROOF_FILE, MAX_PROOF_BYTES)

    yield "the certificate is one DSSE envelope in a Sigstore bundle v0.3"
    bundle = Bundle.parse(bundle_file)

    yield "it is signed by a given certificate key"
    bundle.verify(keys.certificate)

    yield "what is signed is an unlearning statement that names its limits"
    statement = Statement.parse(bundle.payload)

    if model_folder is not None:
        yield "the model's files are the certified ones, and no others"
        check_files(model_folder, statement.subject)

    yield "the log proof is a C2SP tlog-proof"
    proof = Proof.parse(proof_file)

    yield "its checkpoint is signed by the log's key"
    signed = checkpoint.verified(proof.checkpoint, keys.log)

    yield "it is a checkpoint of the log that the statement names"
    _check_origin(statement, signed.origin)

    yield "the logged entry is included under that checkpoint"
    proof.check_included(proof.extra, signed)

    yield "the logged entry is the issue of this very certificate"
    _check_entry(_parsed_entry(proof.extra), bundle, statement, proof.index)

    yield "the request was logged before the certificate"
    _check_order(statement, proof.index)


def _check_origin(statement: Statement, origin: str) -> None:
    named = statement.predicate.log.origin
    if named != origin:
        raise DoesNotHold(Reason.ORIGIN_WRONG, f"the statement names the log {named}, the checkpoint is of {origin}")


def _parsed_entry(entry: bytes) -> dict[str, Any]:
    content = decode_canonical(entry, Reason.ENTRY_WRONG)
    if not isinstance(content, dict) or not isinstance(content.get("details"), dict):
        raise DoesNotHold(Reason.ENTRY_WRONG, "the logged entry is not one of an audit log")
    return content


def _check_entry(entry: dict[str, Any], bundle: Bundle, statement: Statement, index: int) -> None:
    details = entry["details"]
    expected = {
        "event": (entry.get("event"), ISSUED_EVENT),
        "index": (entry.get("index"), index),
        "forget_request": (entry.get("forget_request"), statement.predicate.request),
        "model": (entry.get("model"), statement.predicate.output.model),
        "version": (entry.get("version"), statement.predicate.output.version),
        "statement": (details.get("statement"), "sha256:" + sha256(bundle.payload).hexdigest()),
        "certificate_key": (details.get("certificate_key"), "sha256:" + bundle.key_id),
    }
    for name, (logged, certified) in expected.items():
        if logged != certified:
            detail = f"{name} of the logged entry is {logged}, of the certificate {certified}"
            raise DoesNotHold(Reason.ENTRY_WRONG, detail)


def _check_order(statement: Statement, index: int) -> None:
    requested = int(statement.predicate.log.index)
    if requested >= index:
        detail = f"the request is entry {requested}, the certificate entry {index}"
        raise DoesNotHold(Reason.ENTRY_WRONG, detail)
