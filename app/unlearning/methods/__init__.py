"""The unlearning methods, one file each; what is known of each before it runs stands in `app.specs.methods`.

Read `method`, `tuning` and `steps` first: they are what the methods share.
"""

from __future__ import annotations

from importlib import import_module

from app.specs.methods import METHOD_SPECS, MethodName
from app.unlearning.methods.method import Method

METHODS: dict[MethodName, Method] = {
    name: Method(spec, import_module(f"{__name__}.{name}").compute) for name, spec in METHOD_SPECS.items()
}
"""Every method, by the name that asks for it, which is also the name of its file."""
