"""The demonstration of forgetting a class."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from app.cli.demo_digits import Digits
from app.cli.progress import say, wait
from app.cli.reports import show_audit_log
from app.cli.terminal import present, print_json, print_table

if TYPE_CHECKING:
    from app.client import Client
    from app.contract.forgetting import ForgetRequest
    from app.contract.predicting import Predictions


def run(client: Client, name: str, digits: Digits, digit: int, epochs: int | None, *, as_json: bool) -> ForgetRequest:
    """Train a model of this name, make it forget a digit, and print what came of it."""
    say(f"Training {name}, an mlp, on the 60,000 images of MNIST …")
    _train(client, name, epochs)
    before = client.predict(name, digits.images)
    say(f"Forgetting class {digit} …")
    request = _forget(client, name, digit)
    after = client.predict(name, digits.images)
    if as_json:
        _print_json(client, request, before, after)
    else:
        _print_story(client, request, digits, before, after)
    return request


def _train(client: Client, name: str, epochs: int | None) -> None:
    from app.contract.models import ModelCreate  # noqa: PLC0415  see Call.connect

    asked = {"name": name, "dataset": "mnist", "training": present({"epochs": epochs})}
    wait(client, client.create_model(ModelCreate.model_validate(asked)).job)


def _forget(client: Client, name: str, digit: int) -> ForgetRequest:
    from app.contract.forgetting import ForgetCreate, ForgetTarget  # noqa: PLC0415  see Call.connect

    request = client.forget(name, ForgetCreate(target=ForgetTarget(classes=[digit]), reason="demonstration"))
    wait(client, request.job)
    return client.forget_request(request.id)


def _print_story(
    client: Client, request: ForgetRequest, digits: Digits, before: Predictions, after: Predictions
) -> None:
    total = Counter(digits.labels)
    right_before, right_after = _right(digits, before), _right(digits, after)
    refused = Counter(label for label, answer in zip(digits.labels, after.predictions, strict=True) if answer.forgotten)
    print_table(
        f"The first {len(digits.labels)} test images: version {before.version} and version {after.version}",
        ("digit", "images", "right before", "right after", "answered 0, forgotten"),
        [(digit, total[digit], right_before[digit], right_after[digit], refused[digit]) for digit in sorted(total)],
    )
    if request.report:
        was, now = request.report.before, request.report.after
        print_table(
            f"All test and training images: verdict {request.verdict}, claim {request.claim}",
            ("", "before", "after"),
            [
                (figure, getattr(was, figure), getattr(now, figure))
                for figure in ("forget_accuracy", "refusal_rate", "false_refusal_rate", "test_accuracy")
            ],
        )
    show_audit_log(client, request.model)


def _right(digits: Digits, answers: Predictions) -> Counter[int]:
    pairs = zip(digits.labels, answers.predictions, strict=True)
    return Counter(label for label, answer in pairs if answer.label == label and not answer.forgotten)


def _print_json(client: Client, request: ForgetRequest, before: Predictions, after: Predictions) -> None:
    print_json(
        {
            "forget_request": request.model_dump(mode="json"),
            "before": before.model_dump(mode="json"),
            "after": after.model_dump(mode="json"),
            "audit": [entry.model_dump(mode="json") for entry in client.audit_events(model=request.model)],
            "verification": client.verify_audit_log().model_dump(mode="json"),
        }
    )
