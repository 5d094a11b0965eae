"""The command line without a server: what it prints, where, and with which exit code."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from app import errors
from app.cli.demo_digits import test_digits as first_test_digits
from app.cli.exit_codes import EXIT_CODES, exit_code, paragraph
from app.cli.terminal import print_json

ROOT = Path(__file__).parents[2]
NOBODY = "http://127.0.0.1:9"


def forgettery(*arguments: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app.cli", *arguments],
        env={**os.environ, "COLUMNS": "200", **(environment or {})},
        cwd=ROOT,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )


@pytest.mark.parametrize("slug", sorted(errors.errors_by_slug()))
def test_every_error_has_the_exit_code_of_its_category(slug: str) -> None:
    kind = errors.errors_by_slug()[slug]
    nearest = next(ancestor for ancestor in kind.__mro__ if ancestor in EXIT_CODES)
    assert exit_code(kind()) == EXIT_CODES[nearest] != 0
    if kind.__subclasses__() and kind is not errors.ForgetteryError:
        assert kind in EXIT_CODES


def test_exit_codes_leave_those_of_wrong_usage_and_of_signals_alone() -> None:
    assert 2 not in EXIT_CODES.values()
    assert max(EXIT_CODES.values()) < 64


def test_an_error_is_a_paragraph_with_a_line_for_each_fault() -> None:
    error = errors.InvalidInput(
        "two faults", errors=[errors.FieldError("/name", "too long"), errors.FieldError("", "odd")]
    )
    assert paragraph(error).splitlines() == [
        "Error: The request is not valid: two faults",
        "  /name: too long",
        "  (whole request): odd",
    ]


@pytest.mark.parametrize(
    "command",
    [
        ["models", "list"],
        ["versions", "list", "digits"],
        ["jobs", "list"],
        ["audit", "verify"],
        ["datasets"],
        ["forget", "digits", "--class", "2"],
    ],
)
def test_without_a_server_a_command_says_how_to_start_one(command: list[str]) -> None:
    result = forgettery(*command, "--url", NOBODY, "--json")
    assert result.returncode == EXIT_CODES[errors.Unavailable]
    assert result.stdout == ""
    assert "forgettery serve" in result.stderr
    assert "Traceback" not in result.stderr


def test_address_and_key_come_from_the_environment_too() -> None:
    result = forgettery("models", "list", environment={"FORGETTERY_URL": NOBODY})
    assert NOBODY in result.stderr


@pytest.mark.parametrize("key", ["TOPSECRET\r", "TOPSECRET\n", "TOPSECRET ", "TOPSECRÉT"])
def test_a_key_is_never_printed(key: str) -> None:
    result = forgettery("models", "list", environment={"FORGETTERY_URL": NOBODY, "FORGETTERY_KEY": key})
    can_be_sent = key.isascii()
    assert result.returncode == EXIT_CODES[errors.Unavailable if can_be_sent else errors.InvalidInput]
    assert ("Connection refused" if can_be_sent else "FORGETTERY_KEY") in result.stderr
    assert "SECR" not in result.stdout + result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("FORGETTERY_ADMIN_KEY", "TOPSECRÉT"),
        ("FORGETTERY_ADMIN_KEY", "  "),
        ("FORGETTERY_DATABASE_URL", "postgresql://user:TOPSECRET@host:port/x"),
    ],
)
def test_a_secret_setting_that_is_not_valid_is_named_and_not_printed(variable: str, value: str) -> None:
    result = forgettery("serve", environment={variable: value})
    assert result.returncode == EXIT_CODES[errors.InvalidInput]
    assert f"{variable}: " in result.stderr
    assert "SECR" not in result.stderr


@pytest.mark.parametrize("command", [("serve",), ("worker",), ("db", "upgrade")])
@pytest.mark.parametrize(
    ("address", "error", "told"),
    [
        ("postgresql://user:TOPSECRET@host/x?bogus=TOPSECRET", errors.InvalidInput, "no option bogus"),
        (
            "postgresql://user:TOPSECRET@127.0.0.1:1/x?password=TOPSECRET",
            errors.DatabaseUnavailable,
            "leads to postgresql://127.0.0.1:1/x: connection failed",
        ),
        ("sqlite:////nowhere/x.db", errors.StorageUnavailable, "the file is /nowhere/x.db"),
        ("sqlite:///{home}/text", errors.StorageUnavailable, "file is not a database"),
    ],
)
def test_a_database_that_cannot_be_used_is_one_sentence_without_secrets(
    command: tuple[str, ...], address: str, error: type[errors.ForgetteryError], told: str, tmp_path: Path
) -> None:
    (tmp_path / "text").write_text("this is no database")
    environment = {"FORGETTERY_DATABASE_URL": address.format(home=tmp_path), "FORGETTERY_HOME": str(tmp_path)}
    result = forgettery(*command, environment=environment)
    assert result.returncode == EXIT_CODES.get(error, EXIT_CODES[errors.Unavailable])
    assert "FORGETTERY_DATABASE_URL" in result.stderr
    assert told in result.stderr
    assert "SECR" not in result.stdout + result.stderr
    assert "Traceback" not in result.stdout + result.stderr


def test_options_that_make_no_valid_request_are_named_before_anything_is_sent() -> None:
    result = forgettery("train", "Not A Name", "--epochs", "0", "--url", NOBODY)
    assert result.returncode == EXIT_CODES[errors.InvalidInput]
    assert "/name:" in result.stderr
    assert "/training/epochs:" in result.stderr


@pytest.mark.parametrize("wanted", ["{broken", "[]", '{"type": "nobody"}', "nobody"])
def test_an_architecture_that_does_not_exist_is_refused(wanted: str) -> None:
    result = forgettery("train", "digits", "--architecture", wanted, "--url", NOBODY)
    assert result.returncode == EXIT_CODES[errors.InvalidInput]


def test_a_file_that_cannot_be_read_is_named() -> None:
    result = forgettery("predict", "digits", "no-such-file.png", "--url", NOBODY)
    assert result.returncode == EXIT_CODES[errors.UnreadableInput.__base__]  # type: ignore[index]  # its category
    assert "no-such-file.png cannot be read: No such file or directory" in result.stderr


@pytest.mark.parametrize(
    "command",
    [
        ["models", "delete", "digits"],
        ["versions", "purge", "digits", "1"],
        ["versions", "delete-guard", "digits", "1"],
    ],
)
def test_destroying_asks_first_and_takes_silence_for_no(command: list[str]) -> None:
    result = forgettery(*command, "--url", NOBODY)
    assert result.returncode == 1
    assert "Destroy" in result.stderr
    assert "Connection refused" not in result.stderr


def test_a_setting_that_is_not_valid_is_named_by_its_variable() -> None:
    result = forgettery("db", "upgrade", environment={"FORGETTERY_PORT": "many"})
    assert result.returncode == EXIT_CODES[errors.InvalidInput]
    assert "FORGETTERY_PORT" in result.stderr
    assert "Traceback" not in result.stderr


def test_db_upgrade_makes_the_home_and_can_be_repeated(tmp_path: Path) -> None:
    home = {"FORGETTERY_HOME": str(tmp_path / "new" / "home")}
    assert [forgettery("db", "upgrade", environment=home).returncode for _ in range(2)] == [0, 0]
    assert (tmp_path / "new/home").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "new/home/forgettery.db").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_port_that_is_taken_is_told_in_a_sentence_before_anything_starts(tmp_path: Path, host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        home = {"FORGETTERY_HOME": str(tmp_path), "FORGETTERY_LOG_LEVEL": "error"}
        result = forgettery("serve", "--host", host, "--port", str(port), environment=home)
    assert result.returncode == EXIT_CODES[errors.Unavailable]
    assert f"port {port} of {host} is taken by another process; stop it, or choose another with --port" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "server.json").exists()


@pytest.mark.parametrize("command", [["serve"], ["worker"], ["db", "upgrade"]])
def test_the_base_install_says_what_to_install_for_the_server(command: list[str]) -> None:
    program = (
        "import sys\n"
        "for name in ('fastapi', 'sqlalchemy', 'alembic', 'pydantic_settings', 'uvicorn'): sys.modules[name] = None\n"
        f"sys.argv = ['forgettery', *{command!r}]\n"
        "from app.cli import main\n"
        "main()\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    assert result.returncode == EXIT_CODES[errors.Unavailable], result.stderr
    assert "pip install '.[server]'" in result.stderr  # no index has the package: a name there is anybody's


def test_json_is_one_value_that_keeps_letters_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"name": "größe"})
    printed = capsys.readouterr().out
    assert json.loads(printed) == {"name": "größe"}
    assert "größe" in printed


def test_the_demonstrations_images_are_the_first_of_the_test_set() -> None:
    digits = first_test_digits(10)
    assert digits.labels == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert {len(image) for image in digits.images} == {784}
    assert {min(image) for image in digits.images} == {0.0}
    assert max(max(image) for image in digits.images) == 1.0


def test_the_version_is_printed() -> None:
    assert forgettery("--version").stdout.startswith("forgettery 0.")
