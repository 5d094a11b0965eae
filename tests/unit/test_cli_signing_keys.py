"""`forgettery signing-keys`: the keys of this machine, made, rotated and retired without a server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.audit import signing_keys
from app.cli import app
from app.database import migrate
from app.errors import Conflict, NotReady
from app.evidence.encoding import encode_base64
from app.evidence.proof import Proof
from tests.unit.recorder import Recorder, run


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FORGETTERY_HOME", str(tmp_path))
    monkeypatch.setenv("FORGETTERY_LOG_ORIGIN", "example.org/forgettery")
    monkeypatch.delenv("FORGETTERY_DATABASE_URL", raising=False)
    return tmp_path


def signing(*command: str) -> str:
    result = CliRunner().invoke(app, ["signing-keys", *command], catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def test_keys_are_made_rotated_retired_and_listed(home: Path) -> None:
    migrate.upgrade(f"sqlite:///{home / 'forgettery.db'}")
    assert "signing keys 1 of example.org/forgettery" in signing("init")
    signing("rotate")
    signing("retire", "1")
    listed = signing("list").splitlines()
    assert [line.split()[:2] for line in listed] == [["1", "retired"], ["2", "signs"]]
    assert listed[1].endswith(str(signing_keys.log_signers(home / "signing-keys")[0].key))


@pytest.mark.usefixtures("home")
def test_without_a_migrated_database_no_key_is_made() -> None:
    with pytest.raises(NotReady, match="db upgrade"):
        signing("init")
    assert signing("list") == ""


def test_a_second_first_key_is_refused(home: Path) -> None:
    migrate.upgrade(f"sqlite:///{home / 'forgettery.db'}")
    signing("init")
    with pytest.raises(Conflict, match="rotate"):
        signing("init")


def test_audit_keys_prints_what_verify_reads(recorder: Recorder) -> None:
    answer = {"origin": "example.org/forgettery", "certificate_keys": ["PEM"], "log_keys": ["key"], "generations": []}
    recorder.answers["GET /v1/audit/keys"] = answer
    assert json.loads(run(recorder, "audit", "keys").stdout) == answer


def test_audit_checkpoint_prints_the_note_as_it_is(recorder: Recorder) -> None:
    note = "example.org/forgettery\n3\nroot\n\n\u2014 example.org/forgettery signature\n"
    recorder.answers["GET /v1/audit/checkpoint"] = note.encode()
    assert run(recorder, "audit", "checkpoint").stdout == note


def test_audit_prove_prints_a_proof_file_that_the_verifier_reads(recorder: Recorder) -> None:
    note = "example.org/forgettery\n1\nroot\n\n\u2014 example.org/forgettery signature\n"
    recorder.answers["GET /v1/audit/events/3/proof"] = {
        "log_index": 3,
        "tree_size": 9,
        "root_hash": "ab" * 32,
        "hashes": ["cd" * 32],
        "checkpoint": note,
        "entry": encode_base64(b"the entry"),
    }
    proof = Proof.parse(run(recorder, "audit", "prove", "3").stdout.encode())
    assert (proof.index, proof.hashes, proof.extra) == (3, (bytes.fromhex("cd" * 32),), b"the entry")
    assert proof.checkpoint == note.encode()
