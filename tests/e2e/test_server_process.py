"""The server as a process: it dies and comes back, stops when told to, and keeps its door shut."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from app.client import Client
from app.contract.forgetting import ForgetCreate, ForgetTarget
from app.contract.jobs import Job
from app.contract.models import ModelCreate
from app.errors import ForeignHost, MissingScope, Unauthenticated
from app.specs.architectures import Mlp
from app.specs.training import Training
from tests.e2e.conftest import StartServer
from tests.e2e.processes import assert_no_process_is_left
from tests.e2e.server_process import READABLE_BY_ALL, ROOT, Server, environment
from tests.waiting import HANGS_AFTER, wait_until

TINY = Mlp(hidden=(8,))


def create(client: Client, name: str, epochs: int) -> Job:
    body = ModelCreate(name=name, dataset="mnist", architecture=TINY, training=Training(epochs=epochs))
    return client.create_model(body).job


def wait_until_it_computes(client: Client, job: Job) -> None:
    """Until an attempt is past loading data, so that a kill lands in the middle of the training."""

    def computes() -> bool:
        now = client.job(job.id)
        assert now.status in {"queued", "running"}, now
        return now.progress.fraction >= 0.1

    wait_until(computes)


def assert_nothing_is_half_done(client: Client, home: Path, model: str, versions: list[int]) -> None:
    assert [version.number for version in client.versions(model)] == versions
    folders = sorted(int(folder.name) for folder in (home / "models" / model).iterdir())
    assert folders == versions
    for number in versions:
        stored = home / "models" / model / str(number)
        assert {"model.safetensors", "manifest.json", "README.md"} <= {file.name for file in stored.iterdir()}
    assert client.verify_audit_log().ok


def assert_private(home: Path) -> None:
    """Nobody but the owner can read anything in it."""
    paths = [home, *home.rglob("*")]
    assert [path for path in paths if path.stat().st_mode & 0o077] == []
    assert len(paths) > 10


def test_a_job_survives_the_death_of_the_server_and_takes_effect_once(start_server: StartServer) -> None:
    server = start_server()
    outcome: list[Job] = []
    with server.client() as client:
        job = create(client, "survivor", epochs=6)
        waiting = threading.Thread(target=lambda: outcome.append(client.wait_for_job(job)))
        waiting.start()
        with server.client() as other:
            wait_until_it_computes(other, job)
        server.kill()
        server.start()
        waiting.join()
        assert outcome[0].status == "succeeded"
        assert outcome[0].attempts >= 2, "the kill did not land"
        assert_nothing_is_half_done(client, server.home, "survivor", [1])
        events = [event.event for event in client.audit_events(model="survivor")]
        assert [events.count(name) for name in ("training.requested", "version.published", "training.completed")] == [
            1
        ] * 3

        request = client.forget("survivor", ForgetCreate(target=ForgetTarget(classes=[2])))
        server.kill()
        server.start()
        client.wait_for_job(request.job)
        forgotten = client.forget_request(request.id)
        assert forgotten.status in {"completed", "failed"}
        assert_nothing_is_half_done(client, server.home, "survivor", [1, 2] if forgotten.version else [1])
        assert_private(server.home)


def test_told_to_stop_it_gives_running_jobs_back_and_leaves_no_process(start_server: StartServer) -> None:
    server = start_server()
    with server.client() as client:
        job = create(client, "interrupted", epochs=1000)
        wait_until_running(client, job)
    assert server.stop() == 0
    assert_no_process_is_left(server.home)
    server.start()
    with server.client() as client:
        wait_until_running(client, job)
        client.cancel_job(job.id)
        wait_until(lambda: client.job(job.id).status == "cancelled")
        assert list(client.versions("interrupted")) == []
        assert client.verify_audit_log().ok


def test_a_second_server_on_the_same_home_is_refused(server: Server) -> None:
    second = server.run("serve", "--port", "0")
    assert second.returncode == 8
    assert f"another server uses {server.home}" in second.stderr
    assert json.loads((server.home / "server.json").read_text())["url"] == server.url
    with server.client() as client:
        assert client.health().status == "ok"


def test_it_does_not_listen_to_the_network_without_a_key(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "app.cli", "serve", "--host", "0.0.0.0", "--port", "0"],
        cwd=ROOT,
        env=environment(tmp_path / "home"),
        capture_output=True,
        text=True,
        check=False,
        timeout=HANGS_AFTER,
    )
    assert result.returncode == 4
    assert "FORGETTERY_ADMIN_KEY" in result.stderr
    assert "Traceback" not in result.stderr


def test_keys_open_what_their_scopes_name(start_server: StartServer) -> None:
    server = start_server(settings={"FORGETTERY_ADMIN_KEY": "the-first-key-is-long-enough"})
    with server.client("wrong") as stranger, pytest.raises(Unauthenticated):
        list(stranger.models())
    made = server.run_json("api-keys", "create", "reader", "--scope", "read")
    with server.client(made["key"]) as reader:
        assert list(reader.models()) == []
        with pytest.raises(MissingScope):
            create(reader, "refused", epochs=1)
        assert server.run("audit", "verify", settings={"FORGETTERY_KEY": made["key"]}).returncode == 4
        assert server.run("api-keys", "revoke", made["id"]).returncode == 0
        with pytest.raises(Unauthenticated):
            list(reader.models())
    revoked = {key["id"]: key["revoked_at"] for key in server.run_json("api-keys", "list")}
    assert revoked[made["id"]] is not None
    assert made["key"] not in server.log.read_text()


def test_without_keys_a_foreign_host_name_is_refused(server: Server) -> None:
    with server.client() as client:
        client._connection._http.headers["Host"] = "attacker.example"
        with pytest.raises(ForeignHost):
            list(client.models())


def test_a_worker_of_its_own_does_the_work_of_a_server_without_one(
    start_server: StartServer, tmp_path: Path, database_url: str
) -> None:
    settings = {"FORGETTERY_WORKER": "external", "FORGETTERY_DATABASE_URL": database_url}
    home = tmp_path / "shared"
    assert (
        subprocess.run(
            [sys.executable, "-m", "app.cli", "db", "upgrade"],
            cwd=ROOT,
            env=environment(home, settings),
            check=False,
            capture_output=True,
            umask=READABLE_BY_ALL,
        ).returncode
        == 0
    )
    worker = subprocess.Popen(
        [sys.executable, "-m", "app.cli", "worker"],
        cwd=ROOT,
        env=environment(home, settings),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        umask=READABLE_BY_ALL,
    )
    try:
        server = start_server(home, settings)
        with server.client() as client:
            assert client.wait_for_job(create(client, "external", epochs=1)).result == {"version": 1, "served": True}
            asked = ForgetCreate(target=ForgetTarget(classes=[2]), refusal="calibrate")
            client.wait_for_job(client.forget("external", asked).job)
            assert client.model("external").forgotten.classes == [2]
            assert [version.state for version in client.versions("external")] == ["quarantined", "available"]
            assert client.verify_audit_log().ok
            assert_private(home)
    finally:
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(HANGS_AFTER) == 0


def wait_until_running(client: Client, job: Job) -> None:
    wait_until(lambda: client.job(job.id).status == "running")


def test_a_small_network_is_trained_with_one_thread_unless_another_number_is_set(start_server: StartServer) -> None:
    server = start_server(settings={"FORGETTERY_TORCH_THREADS": "0"})
    with server.client() as client:
        client.wait_for_job(create(client, "small", epochs=1))
        assert client.version("small", 1).manifest["environment"]["threads"] == 1
