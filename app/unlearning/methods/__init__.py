"""The unlearning methods beside `edit`, one file each; `METHODS` is the table of all of them.

What is known of each (idea, equation, guarantee, paper, when not to use it) stands in `app.method_specs`. Read `method`,
`tuning` and `steps` first: they are what the methods share.
"""

from __future__ import annotations

from app.method_specs import METHOD_SPECS, MethodName
from app.unlearning.methods.bad_teacher import bad_teacher
from app.unlearning.methods.euk import euk
from app.unlearning.methods.finetune import finetune
from app.unlearning.methods.method import Method
from app.unlearning.methods.neggrad_plus import neggrad_plus
from app.unlearning.methods.projection import projection
from app.unlearning.methods.retrain import retrain
from app.unlearning.methods.salun import salun
from app.unlearning.methods.scrub import scrub
from app.unlearning.methods.sisa import sisa
from app.unlearning.methods.ssd import ssd

METHODS: dict[MethodName, Method] = {
    "retrain": Method(METHOD_SPECS["retrain"], retrain),
    "sisa": Method(METHOD_SPECS["sisa"], sisa),
    "euk": Method(METHOD_SPECS["euk"], euk),
    "finetune": Method(METHOD_SPECS["finetune"], finetune),
    "neggrad_plus": Method(METHOD_SPECS["neggrad_plus"], neggrad_plus),
    "scrub": Method(METHOD_SPECS["scrub"], scrub),
    "salun": Method(METHOD_SPECS["salun"], salun),
    "bad_teacher": Method(METHOD_SPECS["bad_teacher"], bad_teacher),
    "ssd": Method(METHOD_SPECS["ssd"], ssd),
    "projection": Method(METHOD_SPECS["projection"], projection),
}
"""By the name that asks for it; `forgetting.forget` runs one of them or, of a `specs.Edit`, `editing`."""
