"""One small story for the documentation: `digits` learns MNIST and forgets its class 2."""

from __future__ import annotations

from typing import Any

_JOB_ID = "7d9c1f5e-3b0a-4f6b-9d1e-0c2a5b8e4f11"
_REQUEST_ID = "2f6c8f0a-9a3e-4d57-8a61-5f1d0c7b3e92"
_AT = "2026-03-14T09:26:53.589793Z"
_DIGEST = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_CLASSES = [str(digit) for digit in range(10)]


def page(item: Any) -> dict[str, Any]:
    """A list of one item."""
    return {"items": [item], "next_page_token": None}


DATASET = {
    "name": "mnist",
    "description": "Handwritten digits, 28 x 28 grey.",
    "input_shape": [1, 28, 28],
    "classes": _CLASSES,
    "num_train": 60000,
    "num_test": 10000,
    "available": True,
}
ARCHITECTURE = {
    "name": "mlp",
    "description": "A fully connected network: flattened input, hidden layers with ReLU, one output per class.",
    "parameters": {"type": "object", "properties": {"hidden": {"type": "array", "items": {"type": "integer"}}}},
}
METHOD = {
    "name": "edit",
    "description": "Replaces the weights of the forgotten classes; a null unit answers 0 in their place.",
    "claim": "edited",
    "targets": ["classes"],
    "reference_paper": "arXiv:2308.07707",
    "when_not": "When traces of a class must also leave the hidden features.",
    "parameters": {"type": "object", "properties": {"share": {"type": "number"}}},
}
JOB = {
    "id": _JOB_ID,
    "kind": "train",
    "status": "running",
    "model": "digits",
    "progress": {"fraction": 0.4, "stage": "training", "message": "epoch 2 of 5"},
    "attempts": 1,
    "result": None,
    "problem": None,
    "created_at": _AT,
    "started_at": _AT,
    "finished_at": None,
}
MODEL = {
    "name": "digits",
    "dataset": "mnist",
    "architecture": {"type": "mlp", "hidden": [128]},
    "learning": {"mode": "standard"},
    "training": {"epochs": 5, "batch_size": 128, "optimizer": "adam", "learning_rate": 0.005, "seed": 0},
    "serving_version": 2,
    "latest_version": 2,
    "forgotten": {"classes": [2], "tasks": [], "num_samples": 0},
    "created_at": _AT,
}
MODEL_AND_JOB = {"model": MODEL, "job": JOB}
VERSION = {
    "model": "digits",
    "number": 2,
    "state": "available",
    "serving": True,
    "origin": "unlearned",
    "parent": 1,
    "digest": _DIGEST,
    "forgotten": {"classes": [2], "tasks": [], "num_samples": 0},
    "claim": "edited",
    "metrics": {
        "test_accuracy": 0.978,
        "per_class_accuracy": [0.99, 0.99, 0.0],
        "confusion_matrix": [[970, 3, 0, 7], [2, 1130, 0, 3], [9, 8, 0, 1015]],
        "sparsity": 0.0013,
        "num_parameters": 101770,
        "training_seconds": 4.2,
    },
    "created_at": _AT,
    "forget_request": _REQUEST_ID,
    "manifest": {"dataset": "mnist", "seed": 0},
}
FORGET_REQUEST = {
    "id": _REQUEST_ID,
    "model": "digits",
    "target": {"classes": [2]},
    "method": "edit",
    "requested_method": "edit",
    "strategy": "zero",
    "scope": "network",
    "refusal": "push",
    "status": "queued",
    "verdict": None,
    "claim": None,
    "parent_version": None,
    "version": None,
    "report": None,
    "reason": "erasure request 17",
    "received_at": _AT,
    "completed_at": None,
    "job": JOB | {"kind": "forget", "status": "queued", "attempts": 0, "started_at": None},
}
FORGET_PLAN = {
    "model": "digits",
    "target": {"classes": [2]},
    "method": "edit",
    "requested_method": "edit",
    "strategy": "zero",
    "scope": "network",
    "refusal": "push",
    "claim": "edited",
    "parent_version": 1,
    "quarantined_versions": [1],
    "num_forget": 5440,
    "num_retain": 49560,
    "expected_seconds": 2.5,
}
PREDICTIONS = {
    "model": "digits",
    "version": 2,
    "digest": _DIGEST,
    "predictions": [
        {"label": 0, "forgotten": True, "class_name": None, "confidence": 0.97},
        {"label": 7, "forgotten": False, "class_name": "7", "confidence": 0.99},
    ],
}
AUDIT_EVENT = {
    "index": 4,
    "at": _AT,
    "event": "forget.requested",
    "actor": "admin",
    "request_id": "0b5f2a44-1d1c-4c8e-8f0a-6a7b8c9d0e1f",
    "model": "digits",
    "version": None,
    "forget_request": _REQUEST_ID,
    "details": {"classes": [2], "method": "edit", "refusal": "push"},
    "leaf_hash": "5d41402abc4b2a76b9719d911017c592ae1f0c3f5d2b8f1f0f6a3f0f1f9d3c55",
}
AUDIT_VERIFICATION = {"ok": True, "size": 5, "root": AUDIT_EVENT["leaf_hash"], "problems": []}
API_KEY = {
    "id": "c1b7e0a2-4f7e-4f0c-9c55-3d2e1f0a9b88",
    "name": "dashboard",
    "scopes": ["predict", "read"],
    "created_at": _AT,
    "revoked_at": None,
}
API_KEY_CREATED = API_KEY | {"key": "fgt_<43 letters, digits, - and _, shown this once>"}
READINESS = {"status": "ok", "checks": {"database": "ok", "store": "ok", "worker": "ok", "predictor": "ok"}}
