"""The demonstration of tasks: learned one after the other in two ways, then one forgotten, and part of another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import typer

from app.cli.demo_digits import Digits
from app.cli.progress import say, wait
from app.cli.reports import show_audit_log, show_tasks_before_and_after
from app.cli.terminal import present, print_json, print_table

if TYPE_CHECKING:
    from app.client import Client
    from app.contract.forgetting import ForgetRequest
    from app.contract.predicting import Prediction
    from app.contract.versions import Version

_TASKS = ((0, 1), (2, 3), (4, 5), (6, 7), (8, 9))
_TARGETS: dict[str, dict[str, list[int]]] = {
    "task 1, the digits 2 and 3": {"tasks": [1]},
    "digit 5, a part of task 2": {"tasks": [2], "classes": [5]},
}


class Way(NamedTuple):
    """A way of learning tasks and of refusing what is forgotten."""

    name: str
    words: str
    mode: Literal["synaptic_intelligence", "progressive"]
    refusal: dict[str, Any]
    remark: str


# A network of 50 units is too small to be pushed to refuse; a growing one needs more steps than single classes do.
_WAYS = (
    Way(
        "static",
        "one network, weights held by their importance",
        "synaptic_intelligence",
        {"refusal": "calibrate"},
        "No weight moved but those replaced. With no task named, little is refused: nothing taught the network to.",
    ),
    Way(
        "growing",
        "a growing network, units of its own for every task",
        "progressive",
        {"refusal": "push", "parameters": {"push_steps": 2000}},
        "To refuse with no task named, the network was pushed with images of all tasks that stay, and learned to tell "
        "these apart, too: that is why it is right more often with no task named than before.",
    ),
)


class Answers(NamedTuple):
    """The answers to the digits, in their order, when requests name the task of each and when they do not."""

    task_named: list[Prediction]
    no_task_named: list[Prediction]


class Chapter(NamedTuple):
    """The result of one model."""

    name: str
    remark: str
    learned: Version
    requests: list[ForgetRequest]
    before: Answers
    after: Answers


def run(client: Client, name: str, digits: Digits, epochs: int | None, *, as_json: bool) -> list[ForgetRequest]:
    """Train two models whose names begin with `name`, make them forget, and print the results."""
    chapters = [_tell(client, f"{name}-{way.name}", way, digits, epochs) for way in _WAYS]
    if as_json:
        _print_json(client, chapters)
    else:
        for chapter in chapters:
            _print_story(client, chapter, digits)
    return [request for chapter in chapters for request in chapter.requests]


def _tell(client: Client, name: str, way: Way, digits: Digits, epochs: int | None) -> Chapter:
    say(f"Training {name} on MNIST as five tasks of two digits: {way.words} …")
    _train(client, name, way, epochs)
    learned, before = client.version(name, 1), _ask(client, name, digits)
    requests = []
    for words, target in _TARGETS.items():
        say(f"Forgetting {words} …")
        requests.append(_forget(client, name, target, way))
    return Chapter(name, way.remark, learned, requests, before, _ask(client, name, digits))


def _train(client: Client, name: str, way: Way, epochs: int | None) -> None:
    from app.contract.models import ModelCreate  # noqa: PLC0415  see Call.connect

    learning = {"mode": way.mode, "tasks": _TASKS}
    asked = {"name": name, "dataset": "mnist", "learning": learning, "training": present({"epochs": epochs})}
    wait(client, client.create_model(ModelCreate.model_validate(asked)).job)


def _forget(client: Client, name: str, target: dict[str, list[int]], way: Way) -> ForgetRequest:
    from app.contract.forgetting import ForgetCreate  # noqa: PLC0415  see Call.connect

    asked = {"target": target, **way.refusal, "reason": "demonstration"}
    request = client.forget(name, ForgetCreate.model_validate(asked))
    wait(client, request.job)
    return client.forget_request(request.id)


def _ask(client: Client, name: str, digits: Digits) -> Answers:
    by_row: dict[int, Prediction] = {}
    for task, classes in enumerate(_TASKS):
        rows = [row for row, label in enumerate(digits.labels) if label in classes]
        answers = client.predict(name, [digits.images[row] for row in rows], task=task)
        by_row |= dict(zip(rows, answers.predictions, strict=True))
    return Answers([by_row[row] for row in sorted(by_row)], client.predict(name, digits.images).predictions)


def _print_story(client: Client, chapter: Chapter, digits: Digits) -> None:
    typer.echo(f"{chapter.name}\n")
    for protocol, before, after in zip(("the task named", "no task named"), chapter.before, chapter.after, strict=True):
        print_table(
            f"The first {len(digits.labels)} test images, {protocol}",
            ("digit", "task", "images", "right before", "right after", "answered 0, forgotten"),
            [_row(digits, before, after, digit) for digit in range(10)],
        )
    for words, request in zip(_TARGETS, chapter.requests, strict=True):
        typer.echo(
            f"Forgetting {words}: refusal {request.refusal}, verdict {request.verdict}, claim {request.claim}; "
            "all test images:\n"
        )
        if request.report:
            show_tasks_before_and_after(request.report)
    typer.echo(f"{chapter.remark}\n")
    show_audit_log(client, chapter.name)


def _row(digits: Digits, before: Sequence[Prediction], after: Sequence[Prediction], digit: int) -> tuple[int, ...]:
    rows = [row for row, label in enumerate(digits.labels) if label == digit]
    right_before, right_after = (
        sum(answers[row].label == digit and not answers[row].forgotten for row in rows) for answers in (before, after)
    )
    refused = sum(after[row].forgotten for row in rows)
    return digit, digit // 2, len(rows), right_before, right_after, refused


def _print_json(client: Client, chapters: Sequence[Chapter]) -> None:
    print_json(
        {
            "models": [_as_json(client, chapter) for chapter in chapters],
            "verification": client.verify_audit_log().model_dump(mode="json"),
        }
    )


def _as_json(client: Client, chapter: Chapter) -> dict[str, Any]:
    def plain(answers: Answers) -> dict[str, Any]:
        return {
            protocol: [answer.model_dump(mode="json") for answer in found]
            for protocol, found in answers._asdict().items()
        }

    return {
        "name": chapter.name,
        "learned": chapter.learned.metrics.model_dump(mode="json"),
        "forget_requests": [request.model_dump(mode="json") for request in chapter.requests],
        "before": plain(chapter.before),
        "after": plain(chapter.after),
        "audit": [entry.model_dump(mode="json") for entry in client.audit_events(model=chapter.name)],
    }
