"""What is doubtful about the start of a server or worker: it does not stop the start, but somebody should know."""

from __future__ import annotations

import difflib
import os
import stat
from collections.abc import Iterator, Mapping

from app.settings import Settings

_PREFIX = "FORGETTERY_"
_OF_THE_CLIENT = {"URL", "KEY"}
_SHORTEST_KEY = 20


def doubts(settings: Settings, environment: Mapping[str, str] = os.environ) -> Iterator[str]:
    """A sentence for each doubt, with what to do; no value of a variable is in it."""
    yield from _unknown_variables(environment)
    yield from _short_key(settings)
    yield from _open_home(settings)
    if not settings.checkpoint_url:
        yield (
            f"checkpoints of the audit log are published to {settings.resolved_checkpoint_url}, which holds nobody to account: "
            "set FORGETTERY_CHECKPOINT_URL to a folder or URL that the owner of the database cannot write"
        )


def _unknown_variables(environment: Mapping[str, str]) -> Iterator[str]:
    settings = [name.upper() for name in Settings.model_fields]
    for variable in sorted(environment):
        prefix, found, name = variable.upper().partition(_PREFIX)
        if found and not prefix and name not in {*settings, *_OF_THE_CLIENT}:
            similar = difflib.get_close_matches(name, settings, n=1)
            meant = f"; did you mean {_PREFIX}{similar[0]}?" if similar else ""
            yield f"{variable} is no setting of the server and does nothing{meant}"


def _short_key(settings: Settings) -> Iterator[str]:
    if settings.admin_key and len(settings.admin_key.get_secret_value()) < _SHORTEST_KEY:
        yield (
            f"FORGETTERY_ADMIN_KEY has fewer than {_SHORTEST_KEY} characters and may be guessed; "
            "make one with `openssl rand -hex 32`"
        )


def _open_home(settings: Settings) -> Iterator[str]:
    if not settings.home.exists():  # it will be made for its owner alone
        return
    mode = stat.S_IMODE(settings.home.stat().st_mode)
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        yield (
            f"other users of this machine can enter {settings.home} (mode {mode:04o}), which holds reasons and ids of "
            f"samples; run `chmod 700 {settings.home}`"
        )
