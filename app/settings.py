"""All settings, each with its environment variable and its help sentence; nothing is read at import."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.addresses import is_loopback, is_path_prefix
from app.database_addresses import SQLITE, demand_usable
from app.key_text import sendable

_ORIGIN = re.compile(r"\*|https?://[a-z0-9.\[\]:-]+")


class Settings(BaseSettings):
    """Settings of one server or worker, frozen; field `x` is read from the environment variable `FORGETTERY_X`."""

    model_config = SettingsConfigDict(env_prefix="FORGETTERY_", frozen=True, extra="ignore", hide_input_in_errors=True)

    home: Path = Field(Path("models_store"), description="Data root: database file, version folders, data sets.")
    database_url: str = Field(
        "",
        repr=False,
        description="SQLAlchemy URL of the database (postgresql+psycopg://…); empty: an SQLite file in the home.",
    )
    data_dir: Path | None = Field(
        None, description="Folder of the data sets, laid out as torchvision does; may be read-only; empty: in the home."
    )
    signing_keys: Path | None = Field(
        None, description="Folder of the keys that sign checkpoints and certificates; empty: in the home."
    )
    log_origin: str = Field(
        "",
        description="The name of the audit log, as its checkpoints carry it, for example example.org/forgettery; it is fixed "
        "with the first signing key. Empty: a random name.",
    )
    checkpoint_url: str = Field(
        "",
        description="Where checkpoints of the audit log are published: a folder or an fsspec URL, such as s3://bucket/folder, "
        "that the owner of the database cannot write; empty: `checkpoints` in the home, which holds nobody to account.",
    )
    checkpoint_hours: float = Field(
        1, gt=0, description="Hours after which a checkpoint is signed, where the log has grown."
    )
    host: str = Field("127.0.0.1", description="Address to listen on; other than loopback needs an API key.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    admin_key: SecretStr | None = Field(None, description="The first API key, with the admin scope.")
    retention_days: float = Field(
        30, ge=0, description="Days until a quarantined version is purged by itself; 0 purges at once."
    )
    verify_before_purge: bool = Field(
        default=False,
        description="Whether each forget request queues a deep verification, until whose end its parent is not purged.",
    )
    root_path: str = Field(
        "",
        description="Path, such as /forgettery, under which a proxy shows the server and which it strips; empty: none, "
        "unless the proxy sends X-Forwarded-Prefix.",
    )
    cors_origins: str = Field(
        "",
        description="Origins whose pages may call the server, such as https://app.example.org, between commas; *: any; "
        "empty: none.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="The least level logged.")
    torch_threads: int = Field(
        0,
        ge=0,
        description="Threads torch computes with in a job; 0: one for a small network, else a part of the cores.",
    )
    max_body_mb: float = Field(64, gt=0, description="The largest request body accepted, in MiB.")
    worker: Literal["embedded", "external"] = Field(
        "embedded",
        description="embedded: the server starts and supervises a worker; external: `forgettery worker` runs.",
    )
    download: bool = Field(default=True, description="Whether data sets whose files are missing may be downloaded.")

    @field_validator("admin_key", "data_dir", "signing_keys", mode="before")
    @classmethod
    def _empty_means_unset(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("admin_key", mode="after")
    @classmethod
    def _can_be_sent(cls, value: SecretStr | None) -> SecretStr | None:
        return SecretStr(sendable(value.get_secret_value())) if value else None

    @field_validator("root_path", mode="after")
    @classmethod
    def _is_a_prefix(cls, value: str) -> str:
        trimmed = value.strip().rstrip("/")
        if trimmed and not is_path_prefix(trimmed):
            raise ValueError("it must begin with / and hold only letters, digits and . _ ~ - beside it")
        return trimmed

    @field_validator("cors_origins", mode="after")
    @classmethod
    def _are_origins(cls, value: str) -> str:
        if not all(_ORIGIN.fullmatch(origin) for origin in _between_commas(value)):
            raise ValueError("an origin is * or http(s)://host[:port], in small letters and without a path or slash")
        return value

    @field_validator("home", "data_dir", "signing_keys", mode="after")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return value.expanduser().absolute() if value else value

    @field_validator("database_url", mode="after")
    @classmethod
    def _supported_database(cls, value: str) -> str:
        if value:
            demand_usable(value)
        return value

    @property
    def resolved_database_url(self) -> str:
        """The database's URL: the one set, or the SQLite file in the home."""
        return self.database_url or f"{SQLITE}{self.home / 'forgettery.db'}"

    @property
    def resolved_data_dir(self) -> Path:
        """The data sets' folder: the one set, or `datasets` in the home."""
        return self.data_dir or self.home / "datasets"

    @property
    def resolved_signing_keys(self) -> Path:
        """The folder of the signing keys: the one set, or `signing-keys` in the home."""
        return self.signing_keys or self.home / "signing-keys"

    @property
    def resolved_checkpoint_url(self) -> str:
        """Where checkpoints are published: the place that is set, or `checkpoints` in the home."""
        return self.checkpoint_url or str(self.home / "checkpoints")

    @property
    def allowed_origins(self) -> list[str]:
        """The origins of `cors_origins`, one by one."""
        return _between_commas(self.cors_origins)

    @property
    def listens_on_loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        return is_loopback(self.host)

    @property
    def embedded_database(self) -> bool:
        """Whether the database is an SQLite file, which the server migrates by itself."""
        return self.resolved_database_url.startswith(SQLITE)


def _between_commas(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
