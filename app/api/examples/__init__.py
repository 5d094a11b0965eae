"""The examples of the documentation, one JSON file each, named like the constant that holds it.

They tell two small stories: `digits` learns MNIST, forgets its class 2 and is verified beside three retrained models;
`digits-by-task` learns the same digits in five tasks and forgets the second one.
Figures are those of a default request on the default network, rounded.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

_FOLDER = files(__name__)


def page(*items: Any) -> dict[str, Any]:
    """A list of these items."""
    return {"items": list(items), "next_page_token": None}


def _read(name: str) -> dict[str, Any]:
    example: dict[str, Any] = json.loads(_FOLDER.joinpath(f"{name}.json").read_text(encoding="utf-8"))
    return example


DATASET = _read("dataset")
ARCHITECTURE = _read("architecture")
METHOD = _read("method")
MODEL = _read("model")
TASK_MODEL = _read("task_model")
MODEL_AND_JOB = _read("model_and_job")
JOB = _read("job")
COMPARE_JOB = _read("compare_job")
VERSION = _read("version")
UNGUARDED_VERSION = _read("unguarded_version")
TASK_VERSION = _read("task_version")
FORGET_PLAN = _read("forget_plan")
FORGET_REQUEST = _read("forget_request")
TASK_FORGET_REQUEST = _read("task_forget_request")
COMPLETED_FORGET_REQUEST = _read("completed_forget_request")
QUEUED_VERIFICATION = _read("queued_verification")
VERIFICATION = _read("verification")
PREDICTIONS = _read("predictions")
AUDIT_EVENT = _read("audit_event")
AUDIT_KEYS = _read("audit_keys")
AUDIT_PROOF = _read("audit_proof")
AUDIT_CONSISTENCY = _read("audit_consistency")
AUDIT_VERIFICATION = _read("audit_verification")
API_KEY = _read("api_key")
API_KEY_CREATED = _read("api_key_created")
READINESS = _read("readiness")
