"""Two small stories for the documentation: `digits` learns MNIST and forgets its class 2, `digits-by-task` a task."""

from __future__ import annotations

from typing import Any

_JOB_ID = "7d9c1f5e-3b0a-4f6b-9d1e-0c2a5b8e4f11"
_REQUEST_ID = "2f6c8f0a-9a3e-4d57-8a61-5f1d0c7b3e92"
_AT = "2026-03-14T09:26:53.589793Z"
_DIGEST = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_CLASSES = [str(digit) for digit in range(10)]


def page(*items: Any) -> dict[str, Any]:
    """A list of these items."""
    return {"items": list(items), "next_page_token": None}


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
    "targets": ["classes", "tasks"],
    "modes": ["standard", "synaptic_intelligence", "progressive"],
    "refusals": {"none": "edited", "calibrate": "edited", "push": "edited", "guard": "edited"},
    "idea": "Replaces the weights that matter to the forget set alone; no gradient step is taken.",
    "equation": "w_c = 0 or random",
    "guarantee": "The output row of the class holds nothing of it.",
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
        "training_cpu_seconds": 4.1,
    },
    "created_at": _AT,
    "forget_request": _REQUEST_ID,
    "manifest": {"dataset": "mnist", "seed": 0},
}
# Another model of the same digits, which learned them in five tasks and forgot the second one.
TASK_MODEL = MODEL | {
    "name": "digits-by-task",
    "architecture": {"type": "mlp", "hidden": [50]},
    "learning": {
        "mode": "synaptic_intelligence",
        "tasks": [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]],
        "c": 1.0,
        "xi": 0.001,
    },
    "training": {"epochs": 5, "batch_size": 1000, "optimizer": "adam", "learning_rate": 0.001, "seed": 0},
    "forgotten": {"classes": [2, 3], "tasks": [1], "num_samples": 0},
}
UNGUARDED_VERSION = VERSION | {"guard": {"classes": [2], "deleted_at": _AT}}
FORGET_REQUEST = {
    "id": _REQUEST_ID,
    "model": "digits",
    "target": {"classes": [2]},
    "method": "edit",
    "requested_method": "edit",
    "strategy": "zero",
    "scope": "network",
    "refusal": "push",
    "reference": "none",
    "num_references": 3,
    "min_claim": None,
    "num_samples": 0,
    "verification": None,
    "status": "queued",
    "verdict": None,
    "claim": None,
    "sought": "edited",
    "missed_for_sought": [],
    "parent_version": None,
    "version": None,
    "report": None,
    "reason": "erasure request 17",
    "received_at": _AT,
    "completed_at": None,
    "job": JOB | {"kind": "forget", "status": "queued", "attempts": 0, "started_at": None},
}
TASK_VERSION = VERSION | {
    "model": "digits-by-task",
    "forgotten": {"classes": [2, 3], "tasks": [1], "num_samples": 0},
    "metrics": {
        "test_accuracy": 0.41,
        "per_class_accuracy": [0.99, 0.6, 0.0],
        "confusion_matrix": [[970, 3, 0, 7], [2, 700, 0, 433], [9, 8, 0, 1015]],
        "sparsity": 0.0125,
        "num_parameters": 39760,
        "training_seconds": 1.2,
        "tasks": [
            {
                "task": 0,
                "classes": [0, 1],
                "accuracy": 0.998,
                "accuracy_without_task": 0.79,
                "retained_accuracy": 0.998,
                "retained_accuracy_without_task": 0.79,
                "refusal_rate": None,
                "refusal_rate_without_task": None,
                "false_refusal_rate": 0.0,
                "false_refusal_rate_without_task": 0.004,
            },
            {
                "task": 1,
                "classes": [2, 3],
                "accuracy": 0.0,
                "accuracy_without_task": 0.0,
                "retained_accuracy": None,
                "retained_accuracy_without_task": None,
                "refusal_rate": 1.0,
                "refusal_rate_without_task": 0.96,
                "false_refusal_rate": None,
                "false_refusal_rate_without_task": None,
            },
        ],
        "accuracy_matrix": [[0.999, None], [0.998, 0.93]],
        "average_forgetting": 0.001,
        "backward_transfer": -0.001,
    },
}
TASK_FORGET_REQUEST = FORGET_REQUEST | {
    "model": "digits-by-task",
    "target": {"tasks": [1], "classes": [2, 3]},
    "job": FORGET_REQUEST["job"] | {"model": "digits-by-task"},  # type: ignore[operator]  # it is a dict
}
# Of a default request on the default network, rounded.
_REPORT: dict[str, Any] = {
    "before": {
        "forget_accuracy": 0.9947,
        "retain_accuracy": 0.9925,
        "test_accuracy": 0.9794,
        "refusal_rate": 0.0,
        "false_refusal_rate": 0.0,
        "raw_forget_accuracy": 0.9947,
        "raw_test_accuracy": 0.9794,
        "per_class_accuracy": [0.9898, 0.9894, 0.9748, 0.9832, 0.9776, 0.9787, 0.9781, 0.9747, 0.9733, 0.9683],
        "confusion_matrix": [
            [970, 0, 1, 0, 0, 0, 4, 1, 3, 1, 0],
            [0, 1123, 4, 1, 0, 0, 2, 0, 5, 0, 0],
            [4, 2, 1006, 3, 2, 0, 2, 6, 7, 0, 0],
            [0, 0, 5, 993, 0, 2, 0, 3, 5, 2, 0],
            [0, 1, 5, 0, 960, 0, 2, 2, 2, 10, 0],
            [2, 0, 0, 7, 1, 873, 2, 1, 4, 2, 0],
            [5, 2, 2, 1, 3, 3, 937, 1, 4, 0, 0],
            [0, 4, 11, 1, 0, 1, 0, 1002, 3, 6, 0],
            [4, 0, 4, 5, 4, 2, 2, 2, 948, 3, 0],
            [2, 4, 0, 4, 10, 3, 0, 6, 3, 977, 0],
        ],
        "sparsity": 0.0,
        "refusal_by_class": {"2": 0.0},
    },
    "after": {
        "forget_accuracy": 0.0,
        "retain_accuracy": 0.9913,
        "test_accuracy": 0.9775,
        "refusal_rate": 0.9787,
        "false_refusal_rate": 0.0055,
        "raw_forget_accuracy": 0.9983,
        "raw_test_accuracy": 0.9775,
        "per_class_accuracy": [0.9867, 0.9885, 0.0, 0.9752, 0.9715, 0.9753, 0.9802, 0.9747, 0.9723, 0.9713],
        "confusion_matrix": [
            [967, 0, 0, 0, 0, 1, 6, 1, 2, 1, 2],
            [0, 1122, 0, 0, 0, 0, 2, 0, 5, 0, 6],
            [3, 1, 0, 3, 3, 1, 2, 4, 4, 1, 1010],
            [0, 0, 0, 985, 1, 3, 0, 2, 4, 5, 10],
            [0, 0, 0, 0, 954, 0, 4, 3, 2, 13, 6],
            [2, 0, 0, 10, 1, 870, 2, 0, 4, 2, 1],
            [3, 2, 0, 1, 4, 3, 939, 0, 3, 0, 3],
            [0, 3, 0, 2, 0, 0, 0, 1002, 1, 6, 14],
            [1, 1, 0, 5, 4, 1, 4, 2, 947, 3, 6],
            [2, 4, 0, 7, 6, 2, 1, 5, 1, 980, 1],
        ],
        "sparsity": 0.0013,
        "refusal_by_class": {"2": 0.9787},
    },
    "weights_changed": {"body.1.weight": 80041, "body.1.bias": 117, "head.weight": 1181, "head.bias": 10},
    "probe_recall": None,
    "gate": [
        {
            "name": "weights_changed",
            "detail": "At least one weight differs.",
            "value": 81349,
            "threshold": 1,
            "passed": True,
        },
        {
            "name": "output_rows_replaced",
            "detail": "Of each class to forget, the trained values of the output row and its bias are "
            "replaced; the smallest share.",
            "value": 1.0,
            "threshold": 0.99,
            "passed": True,
        },
        {
            "name": "retained_accuracy",
            "detail": "Accuracy on retained classes is at most 0.01 below the 0.9790 before.",
            "value": 0.9772,
            "threshold": 0.969,
            "passed": True,
        },
        {
            "name": "forget_accuracy",
            "detail": "The classes to forget are given their label less often than before, or never.",
            "value": 0.0,
            "threshold": 0.973,
            "passed": True,
        },
        {
            "name": "refusal_of_class_2",
            "detail": "Share of the class's inputs answered as forgotten, against the floor of refusal 'push'.",
            "value": 0.9826,
            "threshold": 0.9,
            "passed": True,
        },
    ],
    "settings": {
        "classes": [2],
        "strategy": "zero",
        "scope": "network",
        "refusal": "push",
        "parameters": {
            "selection": "importance",
            "share": 0.02,
            "threshold": 0.5,
            "shrink": 0.1,
            "push_steps": None,
            "refusal_budget": 0.003,
            "refusal_drift": 0.01,
            "utility_budget": 0.01,
        },
        "seed": 0,
        "pushed": [],
        "push_steps": 800,
        "null_bias": 0.0209,
        "measured_rows": {"forget": 5440, "retain": 10000},
        "replaced": {"head.weight": 128, "head.bias": 1, "body.1.weight": 2007},
    },
    "seconds": {"editing": 0.0425, "refusal": 2.2737, "method": 2.3162, "measuring": 0.2575},
    "cpu_seconds": {"editing": 0.0419, "refusal": 2.2514, "method": 2.2933, "measuring": 0.2536},
    "rehearsed_classes": [],
}
COMPLETED_FORGET_REQUEST = FORGET_REQUEST | {
    "status": "completed",
    "verdict": "passed",
    "claim": "edited",
    "parent_version": 1,
    "version": 2,
    "report": _REPORT,
    "completed_at": _AT,
    "job": JOB | {"kind": "forget", "result": {"version": 2, "verdict": "passed", "claim": "edited"}},
}
FORGET_PLAN = {
    "model": "digits",
    "target": {"classes": [2]},
    "method": "edit",
    "requested_method": "edit",
    "strategy": "zero",
    "scope": "network",
    "refusal": "push",
    "reference": "none",
    "num_references": 3,
    "num_samples": 0,
    "sought": "edited",
    "claim": "edited",
    "parent_version": 1,
    "quarantined_versions": [1],
    "num_forget": 5440,
    "num_retain": 49560,
    "expected_seconds": 2.5,
    "expected_reference_seconds": None,
    "why": "It was asked for by name.",
    "warnings": [],
    "candidates": [
        {
            "method": "edit",
            "refusal": "push",
            "claim": "edited",
            "expected_seconds": 2.5,
            "applicable": True,
            "reasons": [],
        },
        {
            "method": "sisa",
            "refusal": "push",
            "claim": "edited",
            "expected_seconds": None,
            "applicable": False,
            "reasons": [{"pointer": "/target", "detail": "This method forgets samples, not classes."}],
        },
    ],
}
COMPARE_JOB = JOB | {"kind": "compare", "status": "queued", "attempts": 0, "started_at": None}
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
