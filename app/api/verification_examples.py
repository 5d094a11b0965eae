"""The verification of the story in `app.api.examples`: class 2 of `digits`, edited, beside three retrained models."""

from __future__ import annotations

from app.api.examples import FORGET_REQUEST, JOB, VERSION

_MEASUREMENT = {
    "metric": "accuracy",
    "version": 1,
    "place": {"set": "forget", "layer": None, "setting": None},
    "value": 0.0,
    "low": 0.0,
    "high": 0.0006,
    "original": 0.994,
    "retrained": {"1": 0.0, "2": 0.0, "3": 0.0},
    "struck": 0.0,
    "at_least": None,
    "at_most": 0.01,
    "passed": True,
    "power": False,
}
_REPORT = {
    "verdict": "passed",
    "claim": "edited",
    "depth": "deep",
    "seed": 0,
    "digest": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "forget_classes": [2],
    "rows": {"forget": 5362, "retain": 10000, "test_forget": 1032, "test_retain": 8968},
    "references": [1, 2, 3],
    "sought": "edited",
    "parent_claim": None,
    "criteria": [
        {
            "number": 1,
            "name": "forgotten",
            "statement": "Training images of the forgotten classes are not given their label.",
            "needed_for": "suppressed",
            "passed": True,
            "measurements": [_MEASUREMENT],
            "controlled": True,
            "power": None,
        }
    ],
    "shown": [],
    "control": {
        "original_fails": True,
        "retrained_pass": {"1": True, "2": True, "3": True},
        "failed_by_original": ["nearer", "prototypes"],
        "failed_by_retrained": {"1": [], "2": [], "3": []},
        "num_figures": 9,
        "num_with_power": 4,
    },
    "does_not_prove": ["That no other attack finds more than the ones that were tried."],
    "repetition": None,
}
QUEUED_VERIFICATION = {
    "id": "b1c4a3de-52f7-4c0e-8d3a-6f9e1b2a7c50",
    "model": "digits",
    "version": 2,
    "forget_request": FORGET_REQUEST["id"],
    "depth": "deep",
    "status": "queued",
    "verdict": None,
    "claim": None,
    "digest": VERSION["digest"],
    "report": None,
    "job": JOB | {"kind": "verify", "status": "queued", "attempts": 0, "started_at": None},
    "created_at": JOB["created_at"],
    "completed_at": None,
}
VERIFICATION = QUEUED_VERIFICATION | {
    "status": "completed",
    "verdict": "passed",
    "claim": "edited",
    "report": _REPORT,
    "job": JOB | {"kind": "verify", "status": "succeeded", "finished_at": JOB["created_at"]},
    "completed_at": JOB["created_at"],
}
