"""How many threads a job computes with: one for a small network, else the job's part of the cores that there are."""

from __future__ import annotations

import math
import os
from pathlib import Path

from app.specs.architectures import Architecture, Torchvision, hidden_widths

_WIDEST_SMALL = 1024
"""Units of the widest layer of a small network. Up to it a step is so little work that threads cost more than they
bring (docs/operations/threads.md)."""
_OF_THE_PREDICTOR = 1
"""Cores that jobs leave to predictions."""
_CGROUPS = Path("/sys/fs/cgroup")


def job_threads(architecture: Architecture, *, jobs_at_once: int, cores: int | None = None) -> int:
    """The threads that a job of a model of this architecture takes where nothing else was set."""
    if is_small(architecture):
        return 1
    return max(1, ((cores or usable_cores()) - _OF_THE_PREDICTOR) // jobs_at_once)


def is_small(architecture: Architecture) -> bool:
    """Whether one thread trains such a network about as fast as several."""
    if isinstance(architecture, Torchvision):
        return False
    return max(hidden_widths(architecture), default=0) <= _WIDEST_SMALL


def usable_cores(cgroups: Path = _CGROUPS, own: Path = Path("/proc/self/cgroup")) -> int:
    """The cores that this process may use: by its affinity, and by the quotas of its cgroup and of those around it."""
    quotas = [quota for quota in (_quota_v1(cgroups), *_quotas_v2(cgroups, own)) if quota is not None]
    return max(1, min([len(os.sched_getaffinity(0)), *(math.ceil(quota) for quota in quotas)]))


def _quotas_v2(cgroups: Path, own: Path) -> list[float | None]:
    """`cpu.max` is `quota period` in microseconds, or `max period`; every group above holds as well."""
    lines = _text(own).splitlines()
    within = next((line.removeprefix("0::").strip("/") for line in lines if line.startswith("0::")), "")
    folder = cgroups / within
    folders = [folder, *(parent for parent in folder.parents if parent == cgroups or cgroups in parent.parents)]
    return [_ratio(*_text(each / "cpu.max").split()[:2]) for each in folders]


def _quota_v1(cgroups: Path) -> float | None:
    return _ratio(_text(cgroups / "cpu/cpu.cfs_quota_us").strip(), _text(cgroups / "cpu/cpu.cfs_period_us").strip())


def _ratio(quota: str = "", period: str = "") -> float | None:
    """The cores of a quota; None where no quota is set: `max`, -1, or no such file."""
    return int(quota) / int(period) if quota.isdecimal() and period.isdecimal() and int(period) else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
