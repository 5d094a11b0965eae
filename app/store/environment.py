"""What this process computes with, as it is recorded in a manifest."""

from __future__ import annotations

import platform

import torch

from app import __version__
from app.store.manifest import Environment


def describe() -> Environment:
    """The environment of this process; call it where the computation runs, after its threads are set."""
    return Environment(
        forgettery=__version__,
        python=platform.python_version(),
        torch=torch.__version__,
        threads=torch.get_num_threads(),
        cpu_capability=torch.backends.cpu.get_cpu_capability(),
        platform=platform.platform(),
    )
