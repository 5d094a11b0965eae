from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from app.service.precautions import doubts
from app.settings import Settings


def test_a_server_as_it_should_be_raises_no_doubt(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "new", checkpoint_url="elsewhere", admin_key=SecretStr("k" * 20))
    known = dict.fromkeys(["FORGETTERY_HOME", "FORGETTERY_URL", "FORGETTERY_KEY", "forgettery_port", "HOME"], "x")
    assert list(doubts(settings, known)) == []


def test_variables_that_do_nothing_are_named_with_what_may_be_meant_and_without_their_values(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "new", checkpoint_url="elsewhere")
    unknown = {"FORGETTERY_ADMIN_KYE": "TOPSECRET", "FORGETTERY_XYZ": "TOPSECRET"}
    misspelt, strange = doubts(settings, unknown)
    assert misspelt.startswith("FORGETTERY_ADMIN_KYE ")
    assert misspelt.endswith("did you mean FORGETTERY_ADMIN_KEY?")
    assert strange == "FORGETTERY_XYZ is no setting of the server and does nothing"


def test_a_short_admin_key_is_doubted_and_not_shown(tmp_path: Path) -> None:
    (doubt,) = doubts(Settings(home=tmp_path / "new", checkpoint_url="elsewhere", admin_key=SecretStr("k" * 19)), {})
    assert doubt.startswith("FORGETTERY_ADMIN_KEY has fewer than 20 characters")
    assert "kk" not in doubt


@pytest.mark.parametrize(("mode", "warnings"), [(0o700, 0), (0o750, 1), (0o701, 1), (0o755, 1)])
def test_a_home_that_others_can_enter_is_doubted(tmp_path: Path, mode: int, warnings: int) -> None:
    tmp_path.chmod(mode)
    found = list(doubts(Settings(home=tmp_path, checkpoint_url="elsewhere"), {}))
    assert len(found) == warnings
    assert all(f"mode {mode:04o}" in doubt and f"chmod 700 {tmp_path}" in doubt for doubt in found)


def test_checkpoints_beside_the_database_are_doubted(tmp_path: Path) -> None:
    (doubt,) = doubts(Settings(home=tmp_path / "new"), {})
    assert "holds nobody to account" in doubt
