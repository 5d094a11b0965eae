"""List every study: what it measures, what it writes, and what it costs."""

from __future__ import annotations

from importlib import import_module
from pkgutil import walk_packages

import benchmarks
from benchmarks.study import Study


def studies() -> list[Study]:
    """The study of every module and folder of this package that is one."""
    names = [
        module.name for module in walk_packages(benchmarks.__path__, "benchmarks.") if "__main__" not in module.name
    ]
    modules = [import_module(name) for name in names]
    return list(dict.fromkeys(module.STUDY for module in modules if hasattr(module, "STUDY")))


def main() -> None:
    """Print them."""
    for study in studies():
        print(f"{study.command}\n    measures {study.measures}\n    writes {study.writes}\n    takes {study.cost}")


if __name__ == "__main__":
    main()
