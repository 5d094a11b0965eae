from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import create_server
from typing import Any

import pytest

from app.datasets import download as module
from app.datasets.catalogue import ensure_obtainable, find
from app.datasets.dataset_spec import DatasetSpec, Download
from app.datasets.download import download_all
from app.datasets.loading import load_described
from app.errors import DatasetUnavailable
from app.settings import Settings


@dataclass
class Mirror:
    """A web server on the loopback interface, the files it offers, and the paths it was asked for."""

    url: str
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def offers(self, spec: DatasetSpec, files: dict[str, bytes]) -> DatasetSpec:
        """The data set, to be downloaded from here."""
        self.files.update({f"/{name}": content for name, content in files.items()})
        downloads = tuple(
            Download(name, f"{self.url}/{name}", hashlib.md5(content).hexdigest(), len(content))
            for name, content in files.items()
        )
        return replace(spec, downloads=downloads)


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            offered.asked.append(self.path)
            content = offered.files.get(self.path)
            self.send_response(200 if content is not None else 404)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *_arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    offered = Mirror(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield offered
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def online(settings: Settings) -> Settings:
    return settings.model_copy(update={"download": True})


def _ignore(_fraction: float, _message: str) -> None:
    pass


def _packed(tiny: Any) -> dict[str, bytes]:
    return {f"{name}.gz": content for name, content in tiny.contents.items()}


def test_missing_files_are_downloaded_checked_and_read(mirror: Mirror, online: Settings, tiny: Any) -> None:
    spec = mirror.offers(tiny.spec, _packed(tiny))
    ensure_obtainable(spec, online)
    loaded = load_described(spec, online)
    assert len(loaded.dataset.train_labels) == 24
    assert sorted(path.name for path in (online.home / "datasets/KMNIST/raw").iterdir()) == sorted(_packed(tiny))


def test_files_downloaded_before_are_not_asked_for_again(mirror: Mirror, tiny: Any, tmp_path: Path) -> None:
    spec = mirror.offers(tiny.spec, _packed(tiny))
    download_all(spec, tmp_path, "", _ignore)
    mirror.asked.clear()
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    download_all(spec, tmp_path, "", _ignore)
    assert mirror.asked == ["/t10k-labels-idx1-ubyte.gz"]


def test_progress_is_told_and_rises_to_all(mirror: Mirror, tiny: Any, tmp_path: Path) -> None:
    told: list[float] = []
    download_all(mirror.offers(tiny.spec, _packed(tiny)), tmp_path, "", lambda part, _message: told.append(part))
    assert told == sorted(told)
    assert told[-1] == 1.0


def test_a_download_can_be_stopped_and_leaves_nothing_under_its_name(mirror: Mirror, tiny: Any, tmp_path: Path) -> None:
    def stop(_fraction: float, _message: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download_all(mirror.offers(tiny.spec, _packed(tiny)), tmp_path, "", stop)
    assert list(tmp_path.glob("*.gz")) == []


Fault = Callable[[Mirror, DatasetSpec], DatasetSpec]


def _another_digest(_mirror: Mirror, spec: DatasetSpec) -> DatasetSpec:
    return replace(spec, downloads=(replace(spec.downloads[0], md5="0" * 32),))


def _too_long(_mirror: Mirror, spec: DatasetSpec) -> DatasetSpec:
    return replace(spec, downloads=(replace(spec.downloads[0], max_bytes=10),))


def _gone(mirror: Mirror, spec: DatasetSpec) -> DatasetSpec:
    mirror.files.clear()
    return spec


def _refused(_mirror: Mirror, spec: DatasetSpec) -> DatasetSpec:
    with create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    return replace(spec, downloads=(replace(spec.downloads[0], url=f"http://127.0.0.1:{port}/x"),))


@pytest.mark.parametrize(
    ("fault", "reason"),
    [(_another_digest, "MD5"), (_too_long, "more than the 10 bytes"), (_gone, "404"), (_refused, "refused")],
)
def test_what_a_mirror_gives_wrongly_is_refused_and_not_kept(
    mirror: Mirror, tiny: Any, tmp_path: Path, fault: Fault, reason: str
) -> None:
    spec = fault(mirror, mirror.offers(tiny.spec, _packed(tiny)))
    with pytest.raises(DatasetUnavailable, match=rf"(?s){reason}.*Place them by hand\."):
        download_all(spec, tmp_path, "Place them by hand.", _ignore)
    assert list(tmp_path.glob("*.gz")) == []


def test_a_mirror_without_the_file_is_reported_before_a_job_is_queued(mirror: Mirror, online: Settings) -> None:
    [archive] = find("cifar10").downloads
    spec = replace(find("cifar10"), downloads=(replace(archive, url=f"{mirror.url}/none"),))
    with pytest.raises(DatasetUnavailable, match="status 404"):
        ensure_obtainable(spec, online)


def test_a_mirror_that_accepts_and_stays_silent_is_given_up(
    online: Settings, tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CHECK_SECONDS", 0.2)
    with create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/x.gz"
        spec = replace(tiny.spec, downloads=(replace(tiny.spec.downloads[0], url=url),))
        with pytest.raises(DatasetUnavailable, match=r"no answer within 0.2 seconds"):
            ensure_obtainable(spec, online)
