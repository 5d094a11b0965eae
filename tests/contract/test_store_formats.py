"""Version folders of every released format. Nothing in `store_formats` may ever be changed; new formats are added."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from app.store import weights
from app.store.manifest import Manifest
from app.store.versions import VersionStore, verify_files

FORMATS = Path(__file__).parent / "store_formats"
VERSIONS = {
    ("v1", 1): (
        "sha256:d985ccab9b6e342b24ef60e9e5eb8adfb03d7b16fd874d7e93427f32a45e2d4c",
        [[0.163008, 0.247112, 0.27707, 0.312809, 0.0], [0.149675, 0.263775, 0.306442, 0.280107, 0.0]],
    ),
    ("v1", 2): (
        "sha256:57901e67b3415dd443f404e7dbc38029c8b8665dccd8c8c2e4ae8bbaa1833b15",
        [[0.177689, 0.190808, 0.0, 0.1875, 0.444003], [0.174849, 0.189762, 0.0, 0.186194, 0.449195]],
    ),
}


@pytest.mark.parametrize(("release", "number"), VERSIONS)
def test_a_version_of_every_released_format_is_read_and_answers_as_it_did(release: str, number: int) -> None:
    digest, answers = VERSIONS[release, number]
    store = VersionStore(FORMATS / release)
    manifest, folder = store.read_manifest("digits", number), store.folder("digits", number)
    assert manifest.digest == digest
    assert set(manifest.files) | {"manifest.json"} == {path.name for path in folder.iterdir()}
    verify_files(folder, manifest.files)
    model = weights.load(folder, manifest.weights_digest, digest)
    images = torch.linspace(0, 1, 32).reshape(2, *manifest.input_shape)
    torch.testing.assert_close(model.probabilities(images).detach(), torch.tensor(answers), rtol=1e-4, atol=1e-6)


def test_the_newest_format_is_the_one_that_is_written() -> None:
    newest = max(int(path.name.removeprefix("v")) for path in FORMATS.iterdir())
    assert Manifest.model_fields["format"].default == newest
