"""A certificate holds as it was issued; with any part changed or taken from another one it does not, for a named reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from app.evidence import bundle, checkpoint
from app.evidence.bundle import Bundle
from app.evidence.certificate_check import BUNDLE_FILE, PROOF_FILE, check_certificate
from app.evidence.findings import Reason
from app.evidence.keys import PublicKeys
from app.evidence.predicate import RequestEntry
from app.evidence.proof import Proof
from app.evidence.statement import Statement
from tests.unit.evidence.certificates import (
    CERTIFICATE_KEY,
    KEYS,
    LOG_SIGNER,
    OTHER_REQUEST,
    Issued,
    issue,
    issued_entry,
    proof_of,
    write,
)
from tests.unit.evidence.test_note import OTHER

OTHER_KEY = ec.derive_private_key(54321, ec.SECP256R1())


@pytest.fixture
def issued(tmp_path: Path) -> Issued:
    return issue(tmp_path / "certificate")


@pytest.fixture
def other(tmp_path: Path) -> Issued:
    return issue(tmp_path / "other", content="other weights", request=OTHER_REQUEST)


def reason_of(folder: Path, keys: PublicKeys = KEYS, model: Path | None = None) -> Reason | None:
    failure = check_certificate(folder, keys, model).failure
    return None if failure is None else failure.reason


def write_bundle(issued: Issued, change: Callable[[Bundle], Bundle]) -> None:
    path = issued.folder / BUNDLE_FILE
    path.write_bytes(change(Bundle.parse(path.read_bytes())).to_bytes())


def write_proof(issued: Issued, change: Callable[[Proof], Proof]) -> None:
    path = issued.folder / PROOF_FILE
    path.write_bytes(change(Proof.parse(path.read_bytes())).to_bytes())


def bundle_in(issued: Issued) -> Bundle:
    return Bundle.parse((issued.folder / BUNDLE_FILE).read_bytes())


def proof_in(issued: Issued) -> Proof:
    return Proof.parse((issued.folder / PROOF_FILE).read_bytes())


def test_a_certificate_holds_as_it_was_issued(issued: Issued) -> None:
    findings = check_certificate(issued.folder, KEYS, issued.model)
    assert findings.failure is None
    assert [check.number for check in findings.checks] == list(range(1, 12))
    assert findings.as_json()["holds"] is True
    assert len(check_certificate(issued.folder, KEYS).checks) == 10


def test_older_keys_after_a_rotation_still_check_it(issued: Issued) -> None:
    rotated = PublicKeys((OTHER_KEY.public_key(), *KEYS.certificate), (OTHER.key, *KEYS.log))
    assert reason_of(issued.folder, rotated) is None


def test_the_list_ends_at_the_first_check_that_fails(issued: Issued) -> None:
    (issued.folder / PROOF_FILE).write_bytes(b"no proof")
    findings = check_certificate(issued.folder, KEYS)
    assert [check.failure is None for check in findings.checks] == [True] * 4 + [False]
    assert findings.as_json()["reason"] == "proof-malformed"


@pytest.mark.parametrize("name", [BUNDLE_FILE, PROOF_FILE])
def test_a_missing_a_linked_and_a_huge_file_are_named(issued: Issued, name: str) -> None:
    path = issued.folder / name
    elsewhere = issued.folder / "elsewhere"
    path.rename(elsewhere)
    assert reason_of(issued.folder) is Reason.FILE_MISSING
    path.symlink_to(elsewhere)
    assert reason_of(issued.folder) is Reason.FILE_MISSING
    path.unlink()
    path.mkdir()
    assert reason_of(issued.folder) is Reason.FILE_MISSING
    path.rmdir()
    with path.open("wb") as file:
        file.truncate(17 * 2**20)
    assert reason_of(issued.folder) is Reason.FILE_TOO_LARGE


def test_the_bundle_of_another_certificate_is_not_the_logged_one(issued: Issued, other: Issued) -> None:
    (issued.folder / BUNDLE_FILE).write_bytes((other.folder / BUNDLE_FILE).read_bytes())
    assert reason_of(issued.folder) is Reason.ENTRY_WRONG


def test_the_payload_of_another_certificate_is_not_what_was_signed(issued: Issued, other: Issued) -> None:
    write_bundle(issued, lambda found: replace(found, payload=bundle_in(other).payload))
    assert reason_of(issued.folder) is Reason.SIGNATURE_WRONG


def test_the_signature_of_another_certificate_is_not_one_of_this(issued: Issued, other: Issued) -> None:
    write_bundle(issued, lambda found: replace(found, signature=bundle_in(other).signature))
    assert reason_of(issued.folder) is Reason.SIGNATURE_WRONG


def test_the_hint_of_another_key_is_not_trusted(issued: Issued) -> None:
    foreign = bundle.sign(b"", OTHER_KEY).key_id
    write_bundle(issued, lambda found: replace(found, key_id=foreign))
    assert reason_of(issued.folder) is Reason.KEY_UNKNOWN
    both = PublicKeys((*KEYS.certificate, OTHER_KEY.public_key()), KEYS.log)
    assert reason_of(issued.folder, both) is Reason.SIGNATURE_WRONG


def test_a_statement_signed_by_a_foreign_key_is_refused(issued: Issued) -> None:
    write_bundle(issued, lambda found: bundle.sign(found.payload, OTHER_KEY))
    assert reason_of(issued.folder) is Reason.KEY_UNKNOWN


def test_a_statement_signed_anew_is_not_the_logged_one(issued: Issued, other: Issued) -> None:
    write_bundle(issued, lambda _: bundle.sign(bundle_in(other).payload, CERTIFICATE_KEY))
    assert reason_of(issued.folder) is Reason.ENTRY_WRONG


def test_the_proof_of_another_certificate_is_not_of_this(issued: Issued, other: Issued) -> None:
    (issued.folder / PROOF_FILE).write_bytes((other.folder / PROOF_FILE).read_bytes())
    assert reason_of(issued.folder) is Reason.ENTRY_WRONG


@pytest.mark.parametrize("part", ["extra", "checkpoint", "hashes", "index"])
def test_each_part_of_another_proof_leads_to_another_root(issued: Issued, other: Issued, part: str) -> None:
    moved = replace(other, entries=(*other.entries[:6], issued_entry(other.statement, 6), *other.entries[7:]), index=6)
    taken = getattr(proof_of(moved), part)
    write_proof(issued, lambda found: replace(found, **{part: taken}))
    assert reason_of(issued.folder) is Reason.NOT_INCLUDED


def test_the_entry_of_another_event_is_not_the_certificates(issued: Issued) -> None:
    for entry in (issued.entries[5].replace(b"certificate.issued", b"forget.completed"), b"{}", b'{"details":1}', b"x"):
        write(replace(issued, entries=(*issued.entries[:5], entry, *issued.entries[6:])))
        assert reason_of(issued.folder) is Reason.ENTRY_WRONG


@pytest.mark.parametrize("name", ["index", "forget_request", "model", "version", "statement", "certificate_key"])
def test_every_field_of_the_entry_must_be_the_certificates(issued: Issued, name: str) -> None:
    entry = issued.entries[5]
    field = f'"{name}":'.encode()
    assert field in entry
    for value in (b'"other"', b"null", b"true"):
        start = entry.index(field) + len(field)
        end = next(place for place in range(start, len(entry)) if entry[place : place + 1] in b",}")
        changed = entry[:start] + value + entry[end:]
        write(replace(issued, entries=(*issued.entries[:5], changed, *issued.entries[6:])))
        assert reason_of(issued.folder) is Reason.ENTRY_WRONG


def test_a_checkpoint_of_an_unknown_or_another_log_is_refused(issued: Issued) -> None:
    (issued.folder / PROOF_FILE).write_bytes(proof_of(issued, OTHER).to_bytes())
    assert reason_of(issued.folder) is Reason.KEY_UNKNOWN
    both = PublicKeys(KEYS.certificate, (*KEYS.log, OTHER.key))
    assert reason_of(issued.folder, both) is Reason.ORIGIN_WRONG


def test_a_checkpoint_signed_for_another_text_is_refused(issued: Issued) -> None:
    foreign = checkpoint.sign(9, bytes(32), LOG_SIGNER)
    signature = foreign.rpartition(b"\n\n")[2]
    text = proof_in(issued).checkpoint.rpartition(b"\n\n")[0]
    write_proof(issued, lambda found: replace(found, checkpoint=text + b"\n\n" + signature))
    assert reason_of(issued.folder) is Reason.SIGNATURE_WRONG


def test_a_request_logged_after_its_certificate_is_refused(issued: Issued) -> None:
    later = RequestEntry(origin=LOG_SIGNER.name, index="5", leaf_hash="0" * 64)
    predicate = issued.statement.predicate.model_copy(update={"log": later})
    statement = Statement(subject=issued.statement.subject, predicate=predicate)
    entries = (*issued.entries[:5], issued_entry(statement, 5), *issued.entries[6:])
    write(replace(issued, statement=statement, entries=entries))
    assert reason_of(issued.folder) is Reason.ENTRY_WRONG


def test_the_subjects_of_another_certificate_are_not_this_models(issued: Issued, other: Issued) -> None:
    assert reason_of(issued.folder, model=other.model) is Reason.SUBJECT_CHANGED


def test_every_flipped_bit_of_either_file_fails(issued: Issued) -> None:
    for name, step in ((BUNDLE_FILE, 61), (PROOF_FILE, 19)):
        path = issued.folder / name
        content = path.read_bytes()
        for bit in range(0, 8 * len(content), step):
            changed = bytearray(content)
            changed[bit // 8] ^= 1 << bit % 8
            path.write_bytes(changed)
            assert reason_of(issued.folder) is not None, (name, bit)
        path.write_bytes(content)
    assert reason_of(issued.folder) is None
