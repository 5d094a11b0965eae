from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from app.errors import VersionCorrupted
from app.store.manifest import Manifest, parse_manifest
from app.store.model_card import render


def test_a_manifest_is_read_as_it_was_written(manifest: Manifest) -> None:
    assert parse_manifest(manifest.to_bytes(), "here") == manifest


def test_equal_manifests_are_equal_bytes_whatever_the_order_of_their_fields(manifest: Manifest) -> None:
    backwards = dict(reversed(manifest.model_dump().items()))
    assert Manifest.model_validate(backwards).to_bytes() == manifest.to_bytes()
    keys = list(json.loads(manifest.to_bytes()))
    assert keys == sorted(keys)


def test_the_digest_changes_with_any_field(manifest: Manifest) -> None:
    changed: list[dict[str, Any]] = [{"seed": 8}, {"dataset": "kmnist"}, {"recipe": {}}, {"claim": None}, {"number": 3}]
    digests = {manifest.model_copy(update=change).digest for change in changed}
    assert len(digests | {manifest.digest}) == len(changed) + 1


def test_a_parent_is_named_with_its_digest_or_not_at_all(manifest: Manifest) -> None:
    with pytest.raises(ValidationError, match="parent and parent_digest"):
        Manifest.model_validate(manifest.model_dump() | {"parent_digest": None})


@pytest.mark.parametrize("name", ["../model.safetensors", "a/b", "", ".hidden", "a\n"])
def test_a_manifest_names_no_file_outside_its_folder(manifest: Manifest, name: str) -> None:
    with pytest.raises(ValidationError):
        Manifest.model_validate(manifest.model_dump() | {"files": {name: f"sha256:{'0' * 64}"}})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"format": 2}, "format: Input should be 1"),
        ({"architecture": {"type": "transformer"}}, "architecture"),
        ({"extra": 1}, "extra: Extra inputs are not permitted"),
        ({"data_digest": "sha256:0"}, "data_digest"),
        ({"model": "../x"}, "model"),
    ],
)
def test_what_is_not_a_manifest_of_this_format_is_named(
    manifest: Manifest, change: dict[str, object], reason: str
) -> None:
    content = json.dumps(manifest.model_dump(mode="json") | change).encode()
    with pytest.raises(VersionCorrupted, match=rf"models/digits/2/manifest\.json .*\({reason}"):
        parse_manifest(content, "models/digits/2")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"null", b"[" * 100_000], ids=repr)
def test_what_is_not_json_is_named(content: bytes) -> None:
    with pytest.raises(VersionCorrupted, match=r"here/manifest\.json"):
        parse_manifest(content, "here")


def test_the_model_card_tells_metrics_origin_and_what_was_forgotten(manifest: Manifest) -> None:
    card = render(manifest)
    assert card.startswith("# digits, version 2\n")
    assert "## Forgotten\n\nClasses: one. Claim: **edited**" in card
    assert "| test accuracy (retained classes) | 0.9750 |" in card
    assert "| one | no test inputs |" in card
    assert f"parent: version 1 (`{manifest.parent_digest}`)" in card


def test_the_model_card_tells_cpu_seconds_beside_wall_seconds_where_they_are_known(manifest: Manifest) -> None:
    counted = manifest.metrics.model_copy(update={"training_cpu_seconds": 1.25})
    assert "| training time | 1.5 s |" in render(manifest)
    assert "| training time | 1.5 s, 1.2 CPU seconds |" in render(manifest.model_copy(update={"metrics": counted}))


def test_a_manifest_without_cpu_seconds_keeps_its_digest(manifest: Manifest) -> None:
    assert b"training_cpu_seconds" not in manifest.to_bytes()
    assert parse_manifest(manifest.to_bytes(), "here").digest == manifest.digest


def test_the_model_card_claims_nothing_of_a_version_that_forgot_nothing(manifest: Manifest) -> None:
    plain = Manifest.model_validate(manifest.model_dump() | {"forgotten": {"classes": []}, "claim": None})
    assert "Claim" not in render(plain)


def test_a_class_name_cannot_break_the_table_of_the_model_card(manifest: Manifest) -> None:
    assert "| two\\|2 | 1.0000 |" in render(manifest)
