"""A process that starts others which append to one log: `writers.py together|killed URL`; prints what it did as JSON.

Its own process, so that it forks with one thread and no open connection.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from app.audit import log
from app.database.engine import Database
from app.specs.originator import Originator

WRITERS = 8
APPENDS = 15
ROLLED_BACK_SHARE = 0.2
KILLS = 12


class Regretted(Exception):
    pass


def regret() -> None:
    raise Regretted


def append_once(database: Database, dice: random.Random) -> bool:
    """Append one to three entries in one transaction; False when it was rolled back."""
    try:
        with database.writing() as session:
            for _ in range(dice.randint(1, 3)):
                log.append(session, "model.deleted", by=Originator("local"), model="digits")
            if dice.random() < ROLLED_BACK_SHARE:
                regret()
    except Regretted:
        return False
    return True


def append_some(url: str, seed: int, _committed: int) -> None:
    """As many committed transactions as APPENDS."""
    database, dice, committed = Database(url), random.Random(seed), 0
    while committed < APPENDS:
        committed += append_once(database, dice)


def append_until_killed(url: str, seed: int, committed: int) -> None:
    """Report the first commit on the file descriptor `committed`, and go on."""
    database, dice = Database(url), random.Random(seed)
    while not append_once(database, dice):
        pass
    os.write(committed, b".")
    while True:
        append_once(database, dice)


@dataclass
class Writer:
    """A child process; `committed` becomes readable with its first commit."""

    process: int
    committed: int

    def end(self) -> int:
        """Its exit status, as `os.waitpid` gives it."""
        os.close(self.committed)
        return os.waitpid(self.process, 0)[1]


def started(work: Callable[[str, int, int], None], url: str, seed: int) -> Writer:
    """Run `work` in a child."""
    reading, writing = os.pipe()
    process = os.fork()
    if process:
        os.close(writing)
        return Writer(process, reading)
    try:
        work(url, seed, writing)
    except BaseException as error:  # noqa: BLE001  a child must not return into its parent's code
        sys.stderr.write(f"{error!r}\n")
        os._exit(1)
    os._exit(0)


def together(url: str) -> dict[str, int]:
    """WRITERS at once, each to its end."""
    writers = [started(append_some, url, seed) for seed in range(WRITERS)]
    failed = sum(writer.end() != 0 for writer in writers)
    return {"transactions": WRITERS * APPENDS, "failed": failed}


def killed(url: str) -> dict[str, int]:
    """Three at a time; each is killed at a random moment after its first commit."""
    dice, landed = random.Random(0), 0
    alive = [started(append_until_killed, url, seed) for seed in range(3)]
    for kill in range(KILLS):
        victim = alive.pop(0)
        assert os.read(victim.committed, 1) == b"."
        time.sleep(dice.uniform(0, 0.05))
        os.kill(victim.process, signal.SIGKILL)
        landed += os.WTERMSIG(victim.end()) == signal.SIGKILL
        if kill + len(alive) + 1 < KILLS:
            alive.append(started(append_until_killed, url, 100 + kill))
    return {"kills": landed}


if __name__ == "__main__":
    Database(sys.argv[2]).dispose()  # the driver is imported once, here
    print(json.dumps({"together": together, "killed": killed}[sys.argv[1]](sys.argv[2])))  # noqa: T201
