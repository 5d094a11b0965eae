from __future__ import annotations

import socket
import threading
from pathlib import Path

from app.prediction.loaded import IDLE_SECONDS, LoadedVersions
from app.prediction.loop import Loop
from app.prediction.protocol import Answer, Ask, FrameReader, Header, Ready, Refusal, encode
from app.store.manifest import WEIGHTS
from app.store.versions import VersionStore
from tests.stored_versions import StoredVersion, inputs, store_version


def receive(connection: socket.socket) -> Header:
    reader = FrameReader()
    while received := connection.recv(1 << 16):
        for header, _ in reader.feed(received):
            return header
    raise ConnectionError("the loop has ended")


def ask(connection: socket.socket, version: StoredVersion) -> Header:
    rows = inputs(1).numpy()
    connection.sendall(encode(Ask(1, version.key, (1, 1, 4, 4)), rows.tobytes()))
    return receive(connection)


def test_an_idle_version_is_dropped_between_questions_and_then_needs_its_files(tmp_path: Path) -> None:
    purged, other = (store_version(tmp_path, number=number) for number in (1, 2))
    now = 0.0
    ours, theirs = socket.socketpair()
    loop = threading.Thread(target=Loop(theirs, LoadedVersions(tmp_path, clock=lambda: now)).run)
    loop.start()
    with theirs, ours:
        assert isinstance(receive(ours), Ready)
        assert isinstance(ask(ours, purged), Answer)
        (VersionStore(tmp_path).folder("digits", 1) / WEIGHTS).unlink()
        assert isinstance(ask(ours, purged), Answer)
        now = IDLE_SECONDS
        assert isinstance(ask(ours, other), Answer)
        assert isinstance(ask(ours, purged), Refusal)
        ours.shutdown(socket.SHUT_RDWR)
        loop.join()
