"""Servers to drive, and images to ask them about."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from tests.e2e.server_process import ROOT, Server

MNIST = ROOT / "app/datasets/mnist"
StartServer = Callable[..., Server]


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[StartServer]:
    """Starts servers that end with the test; `home` and `settings` as they should be."""
    with ExitStack() as started:

        def start(home: Path | None = None, settings: dict[str, str] | None = None) -> Server:
            server = Server(home or tmp_path / "home", settings)
            started.callback(server.stop)
            server.start()
            return server

        yield start


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for the tests of this process that need no other; they use model names of their own."""
    shared = Server(tmp_path_factory.mktemp("shared") / "home")
    try:
        shared.start()
        yield shared
    finally:
        shared.stop()


@pytest.fixture(scope="session")
def test_images() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """The first 1,000 test images uint8 [1000, 28, 28] and labels [1000] of MNIST."""
    images = np.frombuffer(gzip.decompress((MNIST / "t10k-images-idx3-ubyte.gz").read_bytes()), np.uint8, offset=16)
    labels = np.frombuffer(gzip.decompress((MNIST / "t10k-labels-idx1-ubyte.gz").read_bytes()), np.uint8, offset=8)
    return images.reshape(-1, 28, 28)[:1000], labels[:1000]
