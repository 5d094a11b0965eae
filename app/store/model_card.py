"""The model card of a version: its manifest for people, as Markdown."""

from __future__ import annotations

from typing import Any

from app.contract.versions import VersionMetrics
from app.store.manifest import Manifest

_CLAIMS = {
    "suppressed": "outputs are masked; the weights still hold what was learned",
    "edited": "the weights were changed so that it is not answered; how near they are to retrained ones is not claimed",
    "approximate": "measured against a model retrained without the forgotten data",
    "exact": "retrained without the forgotten data",
}
_OUTCOMES = {True: "yes", False: "**no**", None: "not judged"}


def render(manifest: Manifest) -> str:
    """`README.md` of a version; the digests of its files are left to the manifest, which records this card's too."""
    sections = [
        _heading(manifest),
        _tasks(manifest),
        _forgotten(manifest),
        _verification(manifest.verification),
        _metrics(manifest),
        _origin(manifest),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _heading(manifest: Manifest) -> str:
    shape = " x ".join(str(size) for size in manifest.input_shape)
    return (
        f"# {manifest.model}, version {manifest.number}\n\n"
        f"A classifier of {len(manifest.class_names)} classes ({_names(manifest.class_names)}) for images of {shape} "
        f"(channels, height, width; values in 0..1), architecture `{manifest.architecture.type}`, "
        f"trained on `{manifest.dataset}`."
    )


def _tasks(manifest: Manifest) -> str:
    learning = manifest.learning
    if not learning.tasks:
        return ""
    measured = {found.task: found for found in manifest.metrics.tasks}
    rows = []
    for task, classes in enumerate(learning.tasks):
        names = _names(tuple(manifest.class_names[index] for index in classes))
        found = measured.get(task)
        known, unknown = (found.retained_accuracy, found.retained_accuracy_without_task) if found else (None, None)
        state = "forgotten" if task in manifest.forgotten.tasks else ""
        rows.append(f"| {task} | {names} | {_share(known)} | {_share(unknown)} | {state} |")
    table = ["| task | classes | accuracy, task named | accuracy, not named | |", "|---|---|---|---|---|", *rows]
    return f"## Tasks\n\nLearned one after the other, mode `{learning.mode}`.{_order(manifest)}\n\n" + "\n".join(table)


def _order(manifest: Manifest) -> str:
    metrics = manifest.metrics
    if metrics.average_forgetting is None or metrics.backward_transfer is None:
        return ""
    return (
        f" Average forgetting {metrics.average_forgetting:.4f} (Chaudhry et al. 2018), "
        f"backward transfer {metrics.backward_transfer:.4f} (Lopez-Paz and Ranzato 2017)."
    )


def _share(value: float | None) -> str:
    return "" if value is None else format(value, ".4f")


def _forgotten(manifest: Manifest) -> str:
    samples = manifest.forgotten.num_samples
    rows = f"Training rows: {samples:,}." if samples else ""
    if not manifest.forgotten.classes:
        return f"## Forgotten\n\n{rows}{_claim(manifest)}" if rows else ""
    names = _names(tuple(manifest.class_names[index] for index in manifest.forgotten.classes))
    classes = f"## Forgotten\n\nClasses: {names}.{_claim(manifest)}"
    return f"{classes} Inputs of forgotten classes are answered `0`, `forgotten: true`.{' ' if rows else ''}{rows}"


def _claim(manifest: Manifest) -> str:
    return f" Claim: **{manifest.claim}** ({_CLAIMS[manifest.claim]})." if manifest.claim else ""


def _verification(report: dict[str, Any] | None) -> str:
    if report is None:
        return ""
    rows = [
        f"| {criterion['number']} | {criterion['name']} | {_cell(criterion['statement'])} | {criterion['needed_for']} "
        f"| {_OUTCOMES[criterion['passed']]} |"
        for criterion in report["criteria"]
    ]
    retrained = f"{len(report['references'])} retrained models" if report["references"] else "no retrained model"
    return (
        f"## Verification\n\nThe {report['depth']} set, beside {retrained}: **{report['verdict']}**. Of the parameters "
        f"`{report['digest']}`, on {_counts(report['rows'])}.\n\n"
        "| | criterion | what must hold | needed for | held |\n|---|---|---|---|---|\n" + "\n".join(rows) + "\n\n"
        "It does not prove:\n\n" + "\n".join(f"- {sentence}" for sentence in report["does_not_prove"])
    )


def _counts(rows: dict[str, int]) -> str:
    return ", ".join(f"{count:,} rows of `{name}`" for name, count in rows.items() if count)


def _metrics(manifest: Manifest) -> str:
    metrics = manifest.metrics
    summary = (
        "## Metrics\n\nMeasured on the test set, as served.\n\n"
        "| metric | value |\n|---|---|\n"
        f"| test accuracy (retained classes) | {metrics.test_accuracy:.4f} |\n"
        f"| parameters | {metrics.num_parameters:,} |\n"
        f"| share of zero parameters | {metrics.sparsity:.4f} |\n"
        f"| training time | {_training_time(metrics)} |"
    )
    warning = f"**Warning.** {metrics.warning}\n\n" if metrics.warning else ""
    return f"{summary}\n\n{warning}{_class_table(manifest.class_names, metrics)}"


def _training_time(metrics: VersionMetrics) -> str:
    cpu = metrics.training_cpu_seconds
    return f"{metrics.training_seconds:.1f} s" + ("" if cpu is None else f", {cpu:.1f} CPU seconds")


def _class_table(class_names: tuple[str, ...], metrics: VersionMetrics) -> str:
    rows = [
        f"| {_cell(name)} | {'no test inputs' if accuracy is None else format(accuracy, '.4f')} |"
        for name, accuracy in zip(class_names, metrics.per_class_accuracy, strict=True)
    ]
    return "\n".join(["| class | accuracy |", "|---|---|", *rows])


def _origin(manifest: Manifest) -> str:
    parent = f"version {manifest.parent} (`{manifest.parent_digest}`)" if manifest.parent else "none"
    environment = manifest.environment
    return (
        "## Where it comes from\n\n"
        f"- Origin: {manifest.origin}; parent: {parent}.\n"
        f"- Data: `{manifest.dataset}`, content `{manifest.data_digest}`, split `{manifest.split_digest}`.\n"
        f"- Seed {manifest.seed}; torch {environment.torch}, {environment.threads} threads, "
        f"{environment.cpu_capability}; Python {environment.python}; {environment.platform}; "
        f"Forgettery {environment.forgettery}.\n"
        "- Everything else, with the digest of every file, is in `manifest.json`."
    )


def _names(names: tuple[str, ...]) -> str:
    shown = ", ".join(_cell(name) for name in names[:20])
    return shown if len(names) <= 20 else f"{shown}, …"  # noqa: PLR2004  what fits a sentence


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
