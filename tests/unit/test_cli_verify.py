"""`forgettery verify` says what holds, what does not and why, and leaves with the documented exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from app.evidence import keys as key_files
from app.evidence.certificate_check import BUNDLE_FILE
from app.evidence.keys import PublicKeys, public_pem
from tests.unit.evidence.certificates import CERTIFICATE_KEY, KEYS, LOG_SIGNER, issue
from tests.unit.evidence.test_log_check import entries_to, export, kept
from tests.unit.evidence.test_note import SIGNER

ROOT = Path(__file__).parents[2]


def verify(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "app.cli", "verify", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    path.write_text(PublicKeys(KEYS.certificate, (*KEYS.log, SIGNER.key)).to_json())
    return path


@pytest.fixture
def log_key(tmp_path: Path) -> Path:
    path = tmp_path / "log.pub"
    path.write_text(f"{LOG_SIGNER.key}\n")
    return path


def test_a_certificate_holds_with_either_kind_of_keys(tmp_path: Path, keys: Path, log_key: Path) -> None:
    issued = issue(tmp_path / "certificate")
    with_json = verify("certificate", issued.folder, "--keys", keys, "--model", issued.model)
    assert (with_json.returncode, with_json.stderr) == (0, "")
    lines = with_json.stdout.splitlines()
    assert len(lines) == 11
    assert all(line.startswith(f"{number:2d}. holds") for number, line in enumerate(lines, start=1))
    (tmp_path / "cert.pub").write_bytes(public_pem(CERTIFICATE_KEY.public_key()))
    with_files = verify("certificate", issued.folder, "--key", tmp_path / "cert.pub", "--log-key", log_key)
    assert with_files.returncode == 0


def test_a_certificate_that_does_not_hold_has_one_named_reason(tmp_path: Path, keys: Path) -> None:
    issued = issue(tmp_path / "certificate")
    path = issued.folder / BUNDLE_FILE
    path.write_bytes(path.read_bytes() + b"\n")
    result = verify("certificate", issued.folder, "--keys", keys)
    assert result.returncode == 9
    assert result.stdout.splitlines()[-1].startswith(" 2. FAILS")
    assert ": not-canonical: " in result.stderr
    as_json = verify("certificate", issued.folder, "--keys", keys, "--json")
    found = json.loads(as_json.stdout)
    assert (as_json.returncode, found["holds"], found["reason"]) == (9, False, "not-canonical")


def test_a_log_holds_and_a_cut_one_does_not(tmp_path: Path, keys: Path) -> None:
    folder = export(tmp_path / "log", entries_to(300))
    assert verify("log", folder, "--keys", keys, "--since", kept(tmp_path / "old", entries_to(200))).returncode == 0
    cut = verify("log", folder, "--keys", keys, "--since", kept(tmp_path / "newer", entries_to(301)))
    assert cut.returncode == 9
    assert "rolled-back" in cut.stderr


def test_nothing_is_verified_without_trusted_keys(tmp_path: Path, keys: Path, log_key: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    for arguments in (
        ("certificate", folder),
        ("certificate", folder, "--log-key", log_key),
        ("certificate", folder, "--keys", keys, "--log-key", log_key),
        ("log", folder),
    ):
        result = verify(*arguments)
        assert (result.returncode, "--keys" in result.stderr) == (2, True), arguments


def test_unusable_keys_and_missing_folders_have_their_exit_codes(tmp_path: Path, keys: Path) -> None:
    (tmp_path / "other.json").write_text("{}")
    assert verify("log", tmp_path, "--keys", tmp_path / "other.json").returncode == 3
    assert verify("log", tmp_path, "--keys", tmp_path / "nowhere").returncode == 3
    assert verify("log", tmp_path / "nowhere", "--keys", keys).returncode == 5
    assert verify("certificate", tmp_path, "--keys", keys).returncode == 9


def test_what_generate_writes_is_what_verify_reads(tmp_path: Path) -> None:
    key_files.generate(tmp_path / "keys", "log.example/one")
    signer = key_files.load_log_key(tmp_path / "keys" / key_files.LOG_KEY)
    assert signer.name == "log.example/one"
    certificate = key_files.load_certificate_key(tmp_path / "keys" / key_files.CERTIFICATE_KEY)
    assert isinstance(certificate, ec.EllipticCurvePrivateKey)
    result = verify("log", tmp_path / "keys", "--log-key", tmp_path / "keys" / key_files.LOG_PUBLIC)
    assert (result.returncode, "file-missing" in result.stderr) == (9, True)
