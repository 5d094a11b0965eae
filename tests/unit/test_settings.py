from __future__ import annotations

import traceback

import pytest
from pydantic import SecretStr, ValidationError

from app.database.engine import Database
from app.settings import Settings


@pytest.mark.parametrize("given", ["TOPSECRET\r\n", "TOPSECRET\n", " TOPSECRET ", "\tTOPSECRET"])
def test_white_space_around_the_admin_key_is_no_part_of_it(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("FORGETTERY_ADMIN_KEY", given)
    assert Settings().admin_key == SecretStr("TOPSECRET")


def test_an_empty_admin_key_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORGETTERY_ADMIN_KEY", "")
    assert Settings().admin_key is None


@pytest.mark.parametrize("given", [" ", "\r\n", "\t\n "])
@pytest.mark.parametrize("variable", ["FORGETTERY_ADMIN_KEY", "FORGETTERY_DATABASE_URL"])
def test_a_secret_of_white_space_alone_does_not_open_the_server_but_is_refused(
    monkeypatch: pytest.MonkeyPatch, variable: str, given: str
) -> None:
    monkeypatch.setenv(variable, given)
    with pytest.raises(ValidationError, match=variable.removeprefix("FORGETTERY_").lower()):
        Settings()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("FORGETTERY_ADMIN_KEY", "TOPSECRÉT"),
        ("FORGETTERY_ADMIN_KEY", "TOP\nSECRET"),
        ("FORGETTERY_DATABASE_URL", "postgresql://user:TOPSECRET@host:port/forgettery"),
        ("FORGETTERY_DATABASE_URL", "mysql://user:TOPSECRET@host/forgettery"),
        ("FORGETTERY_DATABASE_URL", "postgresql://user:12/TOPSECRET@host/forgettery"),
        ("FORGETTERY_DATABASE_URL", "postgresql://user:TOPSECRET@one:1,two:TOPSECRET/forgettery"),
        ("FORGETTERY_DATABASE_URL", "postgresql://user:TOPSECRET@host/forgettery?bogus=TOPSECRET"),
    ],
)
def test_a_secret_that_is_not_valid_is_refused_without_being_repeated(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ValidationError) as caught:
        Settings()
    assert variable.removeprefix("FORGETTERY_").lower() in str(caught.value)
    assert "SECR" not in "".join(traceback.format_exception(caught.value))
    assert "SECR" not in str(caught.value.errors(include_input=False))


def test_settings_are_shown_without_their_secrets() -> None:
    settings = Settings(admin_key=SecretStr("TOPSECRET"), database_url="postgresql://user:TOPSECRET@host/forgettery")
    assert "TOPSECRET" not in f"{settings!r} {settings}"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://name:secret@database:5432/forgettery",
        "postgresql+psycopg:///forgettery?host=/run/postgresql",
        "postgresql+psycopg://name@/forgettery?host=/run/postgresql",
    ],
)
def test_an_address_of_postgresql_names_a_host_or_the_folder_of_a_socket(url: str) -> None:
    assert Settings(database_url=url).resolved_database_url == url


@pytest.mark.parametrize("url", ["postgresql+psycopg:///forgettery", "mysql://database/forgettery", "forgettery"])
def test_what_is_no_address_of_a_database_is_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        Settings(database_url=url)


def test_a_database_is_reached_by_the_folder_of_its_socket(database: Database) -> None:
    if database.is_sqlite:
        return
    url = database.engine.url.set(host=None).render_as_string(hide_password=False)
    assert "host=" in url
    reached = Database(Settings(database_url=url).resolved_database_url)
    with reached.reading() as session:
        assert session.connection().closed is False
    reached.dispose()


@pytest.mark.parametrize(("given", "taken"), [("", ""), ("/", ""), ("/one/", "/one"), (" /one/two ", "/one/two")])
def test_a_root_path_is_taken_without_its_last_slash(given: str, taken: str) -> None:
    assert Settings(root_path=given).root_path == taken


@pytest.mark.parametrize("given", ["one", "//one", "/one two", "https://example.org/one", '/"', "/one?two"])
def test_a_root_path_that_is_no_plain_path_is_refused(given: str) -> None:
    with pytest.raises(ValidationError, match="root_path"):
        Settings(root_path=given)


def test_origins_stand_between_commas() -> None:
    assert Settings().allowed_origins == []
    given = " https://a.example, http://localhost:3000 ,"
    assert Settings(cors_origins=given).allowed_origins == ["https://a.example", "http://localhost:3000"]


@pytest.mark.parametrize(
    "given", ["a.example", "https://a.example/", "https://A.example", "https://a.example/path", "**"]
)
def test_what_no_browser_sends_as_an_origin_is_refused(given: str) -> None:
    with pytest.raises(ValidationError, match="cors_origins"):
        Settings(cors_origins=given)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgresql://user@host/forgettery?bogus=1", "no option bogus"),
        ("postgresql://user@host/forgettery?autocommit=1&sslmode=require", "no option autocommit"),
        ("postgresql://user@host/forgettery?connect_timeout=soon", "connect_timeout must be a number"),
        ("postgresql://user@host:99999/forgettery", "port"),
        ("postgresql://user@one,two:1,2/forgettery", "several hosts"),
        ("postgresql+bogus://user@host/forgettery", "must begin with"),
        ("postgresql+asyncpg://user@host/forgettery", "must begin with"),
        ("sqlite+aiosqlite:////data/forgettery.db", "must begin with"),
        ("forgettery.db", "must begin with"),
        ("sqlite:////data/forgettery.db?bogus=1", "takes no options"),
        ("sqlite:////data/forgettery.db?timeout=soon", "takes no options"),
        ("sqlite:///", "must name a file"),
        ("sqlite:///:memory:", "must name a file"),
        ("sqlite:///file:/data/forgettery.db?uri=true", "must name a file"),
    ],
)
def test_an_address_that_no_database_can_have_is_refused_before_anything_starts(url: str, reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        Settings(database_url=url)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:secret%40%2F@host/forgettery?sslmode=require&connect_timeout=3&application_name=forgettery",
        "postgresql+psycopg://user@/forgettery?host=one:5432&host=two:5433&target_session_attrs=read-write",
        "postgres://host/forgettery",
        "sqlite:////data/forgettery.db",
        "sqlite:///forgettery.db",
    ],
)
def test_what_the_drivers_take_is_taken(url: str) -> None:
    assert Settings(database_url=url).resolved_database_url == url
