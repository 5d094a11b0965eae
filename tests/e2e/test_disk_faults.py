"""A disk that is full or cannot be written fails the job that needs it, and nothing else."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from app.client import Client
from app.contract.forgetting import ForgetRequest
from tests.e2e.conftest import StartServer
from tests.e2e.small_models import (
    Images,
    assert_disk_and_record_agree,
    assert_predicts,
    forget,
    forget_slowly,
    learn,
)
from tests.waiting import wait_until

pytestmark = pytest.mark.slow


@contextmanager
def mounted(folder: Path, *arguments: str) -> Iterator[None]:
    """Something else where the folder is, until the block ends."""
    try:
        subprocess.run(["mount", *arguments, str(folder)], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("only root may mount a small or a read-only disk")
    try:
        yield
    finally:  # lazily, because a server may hold files open
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """Take the last byte of a disk; the file that does."""
    filling = disk / "filling"
    with filling.open("wb", buffering=0) as file, suppress(OSError):
        for size in (65_536, 1):
            with suppress(OSError):
                while file.write(bytes(size)):
                    pass
    return filling


def assert_failed_for_want_of_storage(client: Client, request: ForgetRequest) -> None:
    """The job says what to do about the disk, nothing of it is seen, and the parent serves on."""
    job = client.job(request.job.id)
    assert (job.status, job.attempts) == ("failed", 1)
    assert job.problem is not None
    assert job.problem.type == "/problems/storage-unavailable"
    assert client.forget_request(request.id).status == "failed"
    assert client.model(request.model).forgotten.classes == []
    assert [version.state for version in client.versions(request.model)] == ["available"]


@pytest.mark.parametrize("database", ["elsewhere", "on the same disk"])
def test_a_full_disk_fails_the_job_and_not_the_server(
    start_server: StartServer, tmp_path: Path, test_images: Images, database: str
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    elsewhere = {"FORGETTERY_DATABASE_URL": f"sqlite:///{tmp_path / 'forgettery.db'}"}
    with mounted(home, "-t", "tmpfs", "-o", "size=128m", "tmpfs"):
        server = start_server(home, elsewhere if database == "elsewhere" else None)
        with server.client() as client:
            client.wait_for_job(learn(client, "cramped"))
            if database == "elsewhere":
                filling = fill(home)
                request = forget(client, "cramped", 2)
                wait_until(lambda: client.job(request.job.id).status == "failed")
            else:
                request = forget_slowly(client, "cramped", 2)
                wait_until(lambda: client.job(request.job.id).progress.fraction > 0)
                filling = fill(home)  # that the job failed cannot be written until there is room again
                wait_until(lambda: "end_not_written" in server.log.read_text())
            assert_predicts(client, "cramped", test_images[0][:100])
            filling.unlink()
            wait_until(lambda: client.job(request.job.id).status == "failed")
            assert_failed_for_want_of_storage(client, request)
            assert_disk_and_record_agree(client, home, ["cramped"])
            client.wait_for_job(forget(client, "cramped", 2).job)
            assert client.model("cramped").forgotten.classes == [2]
            assert_disk_and_record_agree(client, home, ["cramped"])
        server.stop()


def test_a_store_that_cannot_be_written_fails_the_job_and_not_the_server(
    start_server: StartServer, test_images: Images
) -> None:
    server = start_server()
    with server.client() as client:
        client.wait_for_job(learn(client, "sealed"))
        for folder in (server.home / "staging", server.home / "models" / "sealed"):
            with mounted(folder, "-o", "bind,ro", str(folder)):
                request = forget(client, "sealed", 2)
                wait_until(lambda asked=request: client.job(asked.job.id).status == "failed")  # type: ignore[misc]
                assert_predicts(client, "sealed", test_images[0][:100])
            assert_failed_for_want_of_storage(client, request)
            assert_disk_and_record_agree(client, server.home, ["sealed"])
        client.wait_for_job(forget(client, "sealed", 2).job)
        assert client.model("sealed").forgotten.classes == [2]
