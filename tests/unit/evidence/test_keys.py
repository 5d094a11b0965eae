"""Private keys are files for their owner alone; public ones are read from files or from one JSON text."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from app.errors import InvalidInput, StorageUnavailable
from app.evidence.keys import (
    CERTIFICATE_KEY,
    CERTIFICATE_PUBLIC,
    LOG_KEY,
    LOG_PUBLIC,
    PublicKeys,
    generate,
    load_certificate_key,
    load_log_key,
    load_public_keys,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    generate(tmp_path / "keys", "log.example/one")
    return tmp_path / "keys"


def test_both_halves_of_both_keys_belong_together(folder: Path) -> None:
    public = load_public_keys([folder / CERTIFICATE_PUBLIC], [folder / LOG_PUBLIC])
    assert public.certificate[0] == load_certificate_key(folder / CERTIFICATE_KEY).public_key()
    assert public.log[0] == load_log_key(folder / LOG_KEY).key
    assert public.log[0].name == "log.example/one"


def test_public_keys_are_read_back_from_json(folder: Path) -> None:
    public = load_public_keys([folder / CERTIFICATE_PUBLIC], [folder / LOG_PUBLIC])
    assert PublicKeys.from_json(public.to_json()) == public
    with_more = json.loads(public.to_json()) | {"since": "today"}
    assert PublicKeys.from_json(json.dumps(with_more)) == public


def test_private_keys_are_for_their_owner_alone(folder: Path) -> None:
    for name, load in ((CERTIFICATE_KEY, load_certificate_key), (LOG_KEY, load_log_key)):
        path = folder / name
        assert path.stat().st_mode & 0o777 == 0o600
        path.chmod(0o640)
        with pytest.raises(InvalidInput, match="chmod 600"):
            load(path)
    assert folder.stat().st_mode & 0o777 == 0o700


def test_keys_are_never_overwritten(folder: Path) -> None:
    before = (folder / CERTIFICATE_KEY).read_bytes()
    with pytest.raises(StorageUnavailable):
        generate(folder, "log.example/one")
    assert (folder / CERTIFICATE_KEY).read_bytes() == before


def test_an_origin_that_cannot_be_a_name_is_refused(tmp_path: Path) -> None:
    for origin in ("", "two words", "a+b"):
        with pytest.raises(ValueError, match="name"):
            generate(tmp_path / "keys", origin)
    assert not (tmp_path / "keys").exists()


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    for key in (ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)):
        path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        path.chmod(0o600)
        with pytest.raises(InvalidInput, match="P-256"):
            load_certificate_key(path)
        path.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        with pytest.raises(InvalidInput, match="P-256"):
            load_public_keys([path], [])


def test_files_that_are_no_keys_are_refused(folder: Path) -> None:
    line = (folder / LOG_KEY).read_text()
    path = folder / LOG_KEY
    for text in ("", "PRIVATE+KEY+a", line.replace("PRIVATE", "SECRET"), line.replace("one+", "two+"), "\x00"):
        path.write_text(text)
        with pytest.raises(InvalidInput):
            load_log_key(path)
        (folder / CERTIFICATE_KEY).write_text(text)
        with pytest.raises(InvalidInput):
            load_certificate_key(folder / CERTIFICATE_KEY)
        with pytest.raises(InvalidInput):
            load_public_keys([], [path])
    for missing in (load_certificate_key, load_log_key):
        with pytest.raises(InvalidInput):
            missing(folder / "nowhere")
    with pytest.raises(InvalidInput):
        load_public_keys([folder / "nowhere"], [])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"certificate_keys": [1], "log_keys": []}',
        '{"certificate_keys": [], "log_keys": ["a"]}',
        "[" * 10**5,
    ],
)
def test_json_that_is_no_public_keys_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="these are not public keys"):
        PublicKeys.from_json(text)


def test_a_private_key_is_in_no_public_file(folder: Path) -> None:
    secrets = subprocess.run(["grep", "-l", "PRIVATE", "-r", folder], capture_output=True, text=True, check=True).stdout
    assert sorted(Path(line).name for line in secrets.split()) == [CERTIFICATE_KEY, LOG_KEY]
