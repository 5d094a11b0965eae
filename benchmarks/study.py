"""What every study says of itself, and what all of them are measured on."""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import torch

from app.datasets.loading import load
from app.settings import Settings
from app.specs.architectures import Architecture, Cnn, Gru, Lstm, Mlp, Torchvision, TorchvisionName
from app.unlearning.data import Dataset

ARCHITECTURES: dict[str, Architecture] = {
    "mlp": Mlp(),
    "cnn": Cnn(),
    "gru": Gru(),
    "lstm": Lstm(),
    **{name: Torchvision(name) for name in get_args(TorchvisionName)},
}


@dataclass(frozen=True)
class Study:
    """One study: a module of this package that can be run."""

    name: str
    """Of its module or folder, below this package."""
    measures: str
    writes: str
    minutes: float
    """That its default run takes on two cores with nothing else to do, to the order of magnitude."""
    gibibytes: float
    """The most memory that its processes hold together."""
    notes: str = ""
    """What who runs it must know."""

    @property
    def command(self) -> str:
        """What runs it."""
        return f"python -m benchmarks.{self.name}"

    @property
    def cost(self) -> str:
        """Time and memory, in words."""
        return f"about {self.minutes:g} min and {self.gibibytes:g} GiB on two cores"

    def parser(self, output: str = "") -> argparse.ArgumentParser:
        """An empty parser that describes the study; with a default folder to write to, if it writes any."""
        told = f"Measures {self.measures}. {self.notes} Writes {self.writes}. Takes {self.cost}."
        parser = argparse.ArgumentParser(self.command, description=told)
        if output:
            parser.add_argument("--output", type=Path, default=Path(output))
        return parser


def add_architectures(parser: argparse.ArgumentParser, *default: str) -> None:
    """The option that chooses networks."""
    parser.add_argument("--architecture", choices=list(ARCHITECTURES), nargs="+", default=list(default))


def dataset(name: str = "mnist") -> Dataset:
    """A data set in memory, from a home that is gone again."""
    with tempfile.TemporaryDirectory() as home:
        return load(name, Settings(home=Path(home))).dataset


def prepare(threads: int | None = None) -> None:
    """Set torch's threads, and have it load its compiler, which its first optimizer does: not to be timed."""
    if threads:
        torch.set_num_threads(threads)
    torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))])


def machine() -> dict[str, Any]:
    """What the study runs on, as JSON values."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "processor": platform.processor() or platform.machine(),
        "torch": torch.__version__,
    }
