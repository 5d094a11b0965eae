"""The keys that sign for the log, as files apart from the database: one numbered folder per generation.

The newest generation signs certificates. Checkpoints are signed by every generation whose private half is still there, so
that a person who knows only an old key can check a new checkpoint until that key is retired. Public halves stay for ever:
certificates of a retired key hold.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from app.errors import Conflict, InvalidInput, SigningKeysMissing
from app.evidence import keys
from app.evidence.note import NoteSigner, check_name
from app.files import digest_of, remove, storage_faults, sync_folder

_PARTIAL = ".partial"


@dataclass(frozen=True)
class Generation:
    """One certificate key and one log key, made together."""

    number: int
    folder: Path

    @property
    def public(self) -> keys.PublicKeys:
        """Both public halves; raises InvalidInput where a file is not one."""
        return keys.load_public_keys([self.folder / keys.CERTIFICATE_PUBLIC], [self.folder / keys.LOG_PUBLIC])

    @property
    def retired(self) -> bool:
        """Whether the private halves are destroyed."""
        return not (self.folder / keys.CERTIFICATE_KEY).exists() and not (self.folder / keys.LOG_KEY).exists()

    @property
    def created_at(self) -> datetime:
        """When the public half was written."""
        return datetime.fromtimestamp((self.folder / keys.LOG_PUBLIC).stat().st_mtime, UTC)

    @property
    def digests(self) -> dict[str, str]:
        """What the audit log says of the keys: the digest of each public half."""
        public = self.public
        certificate = "sha256:" + keys.key_id(public.certificate[0])
        return {"certificate_key": certificate, "log_key": digest_of(str(public.log[0]).encode())}


def generations(folder: Path) -> list[Generation]:
    """Every generation in a folder of signing keys, the oldest first; none where there is no folder."""
    found = [path for path in folder.iterdir() if path.name.isdecimal()] if folder.is_dir() else []
    return [Generation(int(path.name), path) for path in sorted(found, key=lambda path: int(path.name))]


def origin_of(folder: Path) -> str:
    """The name of the log, which every one of its keys carries; raises SigningKeysMissing where there is no key."""
    return _newest(folder).public.log[0].name


def make(folder: Path, origin: str = "") -> Generation:
    """Make the next generation; the first one names the log, by a random name if none is given.

    Raises InvalidInput for a name that no key can have, or another one than the log has, and StorageUnavailable.
    """
    there = generations(folder)
    name = _checked(origin) if origin else origin_of(folder) if there else f"forgettery/{secrets.token_hex(8)}"
    if there and name != origin_of(folder):
        raise InvalidInput(f"the log is named {origin_of(folder)}; a new key cannot rename it")
    number = there[-1].number + 1 if there else 1
    partial, final = folder / f"{number}{_PARTIAL}", folder / str(number)
    with storage_faults(folder):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        remove(partial)  # what a crash left
    keys.generate(partial, name)
    with storage_faults(folder):
        partial.rename(final)
        sync_folder(folder)
    return Generation(number, final)


def retire(folder: Path, number: int) -> Generation:
    """Destroy the private halves of a generation; nothing is signed with them any more.

    Raises InvalidInput for a number that there is not, and Conflict for the newest, without which nothing could be signed.
    """
    there = generations(folder)
    found = next((each for each in there if each.number == number), None)
    if found is None:
        raise InvalidInput(f"there are no signing keys number {number}; `forgettery signing-keys list` shows them")
    if found == there[-1]:
        raise Conflict("the newest signing keys cannot be retired; rotate first, which makes newer ones")
    with storage_faults(folder):
        remove(found.folder / keys.CERTIFICATE_KEY)
        remove(found.folder / keys.LOG_KEY)
        sync_folder(found.folder)
    return found


def public_keys(folder: Path) -> keys.PublicKeys:
    """The public halves of all generations, which a verifier is given; raises SigningKeysMissing where there is none."""
    _newest(folder)
    public = [each.public for each in generations(folder)]
    return keys.PublicKeys(
        tuple(key for each in public for key in each.certificate), tuple(key for each in public for key in each.log)
    )


def log_signers(folder: Path) -> list[NoteSigner]:
    """What signs a checkpoint: the log keys that are not retired, the newest first; raises SigningKeysMissing for none."""
    _newest(folder)
    return list(_signers(folder))


def _signers(folder: Path) -> Iterator[NoteSigner]:
    for each in reversed(generations(folder)):
        if not each.retired:
            yield keys.load_log_key(each.folder / keys.LOG_KEY)


def _newest(folder: Path) -> Generation:
    there = generations(folder)
    if not there:
        raise SigningKeysMissing(
            f"there are no signing keys in {folder}; run `forgettery signing-keys init` where the server runs"
        )
    return there[-1]


def _checked(origin: str) -> str:
    try:
        check_name(origin)
    except ValueError as fault:
        raise InvalidInput(f"{origin} cannot name the log: {fault}") from fault
    return origin
