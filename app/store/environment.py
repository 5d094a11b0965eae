"""What this process computes with, as it is recorded in a manifest."""

from __future__ import annotations

import platform
from pathlib import Path

import torch

from app import __version__
from app.store.manifest import Environment

_CPU_INFO = Path("/proc/cpuinfo")
_NAMED = {
    "forgettery": "Forgettery",
    "python": "Python",
    "torch": "torch",
    "threads": "threads",
    "cpu_capability": "instruction set",
    "platform": "machine",
}


def describe() -> Environment:
    """The environment of this process; call it where the computation runs, after its threads are set."""
    return Environment(
        forgettery=__version__,
        python=platform.python_version(),
        torch=torch.__version__,
        threads=torch.get_num_threads(),
        cpu_capability=torch.backends.cpu.get_cpu_capability(),
        platform=_machine(),
    )


def differences(then: Environment, now: Environment) -> list[str]:
    """The differences between two environments, in a few words each; empty where equal seeds give equal bits."""
    pairs = {name: (getattr(then, field), getattr(now, field)) for field, name in _NAMED.items()}
    return [f"{name} {before}, here {here}" for name, (before, here) in pairs.items() if before != here]


def _machine() -> str:
    """The C library and the processor, which torch's build leaves open; the kernel's release changes no bit."""
    library = "-".join(platform.libc_ver())
    return f"{platform.system()}-{platform.machine()}-with-{library}, {_processor()}"


def _processor() -> str:
    try:
        lines = _CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    told = dict(line.partition(":")[::2] for line in reversed(lines))  # the first processor's, read last
    named = {name.strip(): value.strip() for name, value in told.items()}
    return named.get("model name") or named.get("CPU part") or "unnamed processor"
