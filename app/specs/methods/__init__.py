"""The unlearning methods, one file each; `METHOD_SPECS` is the table of all of them.

A method consists of its file here, with everything that is known of it before it runs, of one line of this table, and
of one file of the same name in `app.unlearning.methods`, whose function `compute` carries it out.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Literal

from app.specs.claims import Claim
from app.specs.methods.method import MethodSpec
from app.specs.refusing import Refusal

_NAMES = (
    "edit",
    "retrain",
    "sisa",
    "euk",
    "finetune",
    "neggrad_plus",
    "scrub",
    "salun",
    "bad_teacher",
    "ssd",
    "projection",
)
METHOD_SPECS: dict[str, MethodSpec] = {name: import_module(f"{__name__}.{name}").SPEC for name in _NAMES}
"""What is known of each method, by the name that asks for it."""

if TYPE_CHECKING:
    MethodName = str
else:
    MethodName = Literal[_NAMES]  # the table alone says which there are


def sought_by(method: MethodName, refusal: Refusal) -> Claim:
    """The claim that a method and a refusal seek, whether or not anything can show it."""
    return METHOD_SPECS[method].claim_with(refusal)
