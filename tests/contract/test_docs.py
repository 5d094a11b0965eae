"""The documents say what the code does."""

from __future__ import annotations

import inspect
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
import typer.main
from fastapi import FastAPI
from starlette.routing import Match

from app.api.enum_meanings import enums
from app.audit.events import EVENTS
from app.cli import app as command_line
from app.cli.exit_codes import EXIT_CODES
from app.main import create_app
from app.operations.training.publishing import publish
from app.settings import Settings
from app.unlearning.forgetting import forget

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md"), ROOT / "models_store/README.md"]
)
PROMISING = [page for page in PAGES if ROOT / "models_store" not in page.parents]
"""Pages that say what one can do; the other one describes files."""
WRITTEN = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs/operations").glob("*.md"))]
WRITTEN += [*sorted((ROOT / "docs/decisions").glob("*.md")), ROOT / "models_store/README.md"]
WRITTEN.remove(ROOT / "docs/methods.md")
"""Pages that a person wrote; a benchmark writes `methods.md`."""
RIDDLES = re.compile(
    r"\bwhoever\b|\bso many\b|\b(?:Those|The same) of\b|\bLikewise\b|\bof theirs\b|\bof which it\b|\bas .{1,20} has it\b"
    r"|(?:^|[.|:] )\**Of (?=\w)",
    re.MULTILINE,
)
"""Words that leave a reader to find out which noun is meant."""
COMMAND = re.compile(r"(?:^|[\s`/])forgettery ([a-z][^`|;&\n]*)", re.MULTILINE)
ROUTE = re.compile(r"\b(GET|HEAD|POST|PUT|PATCH|DELETE) (/[\w{}/.-]*\w}?)")
PATH = re.compile(r"(/v1/[\w{}/.-]*[\w}])")
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")


def table_rows(page: str) -> list[list[str]]:
    lines = (ROOT / page).read_text().splitlines()
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines if line.startswith("|")]


def links(page: Path) -> list[Path]:
    targets = [target for target in LINK.findall(page.read_text()) if "://" not in target]
    return [(page.parent / target).resolve() for target in targets]


def test_the_configuration_page_lists_every_setting_with_its_default() -> None:
    documented = {row[0].strip("`"): row[1].strip("`") for row in table_rows("docs/configuration.md")}
    in_code = {
        f"FORGETTERY_{name.upper()}": "" if field.default in (None, "") else str(field.default)
        for name, field in Settings.model_fields.items()
    }
    clients_own = {"FORGETTERY_URL": "http://127.0.0.1:8000", "FORGETTERY_KEY": ""}
    del documented["variable"], documented["---"]
    assert {name: default.lower() for name, default in documented.items()} == {
        name: default.lower() for name, default in (in_code | clients_own).items()
    }


def test_the_configuration_page_uses_the_settings_own_sentences() -> None:
    page = (ROOT / "docs/configuration.md").read_text().replace("`", "")
    missing = [
        name for name, field in Settings.model_fields.items() if (field.description or "").replace("`", "") not in page
    ]
    assert missing == []


def test_every_page_is_reached_from_the_index() -> None:
    reached, waiting = set(), [ROOT / "docs/index.md"]
    while waiting:
        page = waiting.pop()
        if page not in reached:
            reached.add(page)
            for target in links(page):
                waiting += (
                    sorted(target.rglob("*.md")) if target.is_dir() else [target] if target.suffix == ".md" else []
                )
    assert [page for page in PAGES if page not in reached] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    assert [target for target in links(page) if not target.exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_to_a_part_of_a_page_name_one_of_its_headings(page: Path) -> None:
    named = re.findall(r"\]\(([^)#\s:]*)#([^)\s]+)\)", page.read_text())
    assert [
        (target, part) for target, part in named if part not in anchors((page.parent / target) if target else page)
    ] == []


def anchors(page: Path) -> set[str]:
    """What the headings of a page are called in links."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_readme_fits_on_150_lines() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


def test_the_command_line_page_lists_every_command() -> None:
    documented: set[str] = set()
    for row in table_rows("docs/cli.md"):
        for names in re.findall(r"`([a-z][^`]*)`", row[0]):
            group, _, verbs = names.replace("\\|", "|").rpartition(" ")
            documented |= {f"{group} {verb}".strip() for verb in verbs.split("|")}
    assert documented == set(commands())


def commands() -> list[str]:
    found = []
    root = typer.main.get_command(command_line)
    for name, command in root.commands.items():  # type: ignore[attr-defined]  # get_command() says Command, it is a group
        verbs = getattr(command, "commands", None)
        found += [f"{name} {verb}" for verb in verbs] if verbs else [name]
    return found


@pytest.mark.parametrize("page", PROMISING, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_that_a_page_names_is_there_with_its_options(page: Path) -> None:
    unknown = [said for said in COMMAND.findall(_unfolded(page)) if not _is_command(said)]
    assert unknown == []


@pytest.mark.parametrize("said", ["versions certify digits 1", "forget digits --no-such 2", "sign", "audit export"])
def test_a_command_or_option_that_is_not_there_is_noticed(said: str) -> None:
    assert COMMAND.findall(f"`forgettery {said}` and `forgettery serve`") == [said, "serve"]
    assert not _is_command(said)


def _unfolded(page: Path) -> str:
    return re.sub(r"\\\n\s*", "", page.read_text())


def _is_command(said: str) -> bool:
    """Whether the words lead to a command or a group, and every option is one of it."""
    command, words = typer.main.get_command(command_line), shlex.split(said, comments=True)
    while words and (inner := getattr(command, "commands", {}).get(words[0])):
        command, words = inner, words[1:]
    is_group = hasattr(command, "commands")
    options = {option for each in command.params for option in (*each.opts, *each.secondary_opts)} | {"--help"}
    asked = {word.partition("=")[0] for word in words if word.startswith("--")}
    return command.name != command_line.info.name and not (is_group and words) and asked <= options


@pytest.mark.parametrize("page", PROMISING, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_route_that_a_page_names_is_there(page: Path, application: FastAPI) -> None:
    text = page.read_text()
    named = {(method, path) for method, path in ROUTE.findall(text)} | {(None, path) for path in PATH.findall(text)}
    assert sorted((method, path) for method, path in named if not _is_route(application, method, path)) == []


@pytest.mark.parametrize("said", ["GET /v1/checkpoints", "POST /v1/audit/verify", "GET /v1/models/{model}/certificate"])
def test_a_route_that_is_not_there_is_noticed(said: str, application: FastAPI) -> None:
    assert [_is_route(application, method, path) for method, path in ROUTE.findall(f"`{said}`")] == [False]


def test_evidence_that_the_server_does_not_make_is_said_to_be_missing(application: FastAPI) -> None:
    """`forgettery verify` checks more than can be had; once there are routes for it, these sentences go."""
    assert not [path for path in application.openapi()["paths"] if re.search(r"certificate|tile|export", path)]
    promises = " ".join((ROOT / "docs/promises.md").read_text().split())
    assert "issues no certificates and exports no log" in promises
    for page in ("docs/cli.md", "CHANGELOG.md"):
        line = next(line for line in (ROOT / page).read_text().split("\n- ") if "verify certificate" in line)
        assert re.search(r"makes neither|does not write yet", line), page


@pytest.fixture(scope="module")
def application() -> FastAPI:
    return create_app(Settings())


def _is_route(application: FastAPI, method: str | None, path: str) -> bool:
    """Whether a method, or any for None, is taken at a path, whose parts in braces stand for anything."""
    scope = {"type": "http", "path": path, "method": "GET" if method == "HEAD" else method or "GET"}
    wanted = Match.FULL if method else Match.PARTIAL
    return any(route.matches(scope)[0].value >= wanted.value for route in application.routes)


def test_the_command_line_page_lists_every_exit_code() -> None:
    documented = {int(row[0]) for row in table_rows("docs/cli.md") if row[0].isdigit()}
    assert documented == {0, 2, 130, *EXIT_CODES.values()}


def test_the_audit_page_lists_every_event_with_its_details() -> None:
    events = {
        row[0].strip("`"): re.findall(r"`([^`]+)`", row[1]) for row in table_rows("docs/audit.md") if "." in row[0]
    }
    assert events == {event: list(details) for event, details in EVENTS.items()}


def test_the_glossary_has_every_value_of_the_apis_enums_in_the_documents_own_sentence(application: FastAPI) -> None:
    listed = re.compile(r"^- `([^`]+)`: (.+)$", re.MULTILINE)
    described = {member for schema in enums(application.openapi()) for member in listed.findall(schema["description"])}
    rows = [row for row in table_rows("docs/glossary.md") if row[0].startswith("`")]
    in_glossary = {(value.strip("`"), meaning.replace("\\|", "|")) for value, meaning in rows}
    assert in_glossary == described
    assert len(rows) == len(in_glossary)


def test_every_word_of_the_glossary_has_a_sentence_and_a_link_in_alphabetical_order() -> None:
    words, _, _ = (ROOT / "docs/glossary.md").read_text().partition("## Values in the API")
    entries = re.findall(r"^- \*\*([^*]+)\*\*(.*(?:\n  .*)*)", words, re.MULTILINE)
    assert len(entries) == len(re.findall(r"^- ", words, re.MULTILINE))
    assert [word for word, said in entries if not (re.search(r"\]\([^)]+\)[^\n]*\.$", said))] == []
    assert [word for word, _ in entries] == sorted((word for word, _ in entries), key=str.lower)


@pytest.mark.parametrize("function", [publish, forget], ids=lambda function: function.__name__)
def test_the_steps_named_at_the_top_of_a_delicate_function_are_repeated_in_it(function: Callable[..., None]) -> None:
    named = re.findall(r"^ *(\d+)\. \w", inspect.getdoc(function) or "", re.MULTILINE)
    repeated = re.findall(r"^ *# (\d+)\. \w", inspect.getsource(function), re.MULTILINE)
    assert len(named) > 2
    assert named == repeated == [str(number) for number in range(1, len(named) + 1)]


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: str(page.relative_to(ROOT)))
def test_pages_are_written_in_plain_sentences_and_short_lines(page: Path) -> None:
    prose = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    assert RIDDLES.findall(prose) == []
    assert [line for line in prose.splitlines() if len(line) > 140 and not line.startswith("|")] == []


@pytest.mark.parametrize(
    "riddle",
    [
        "Those of Ω.",
        "Likewise of a prototype.",
        "whoever asks",
        "after so many steps",
        "as it has it",
        "It is sealed. Of samples, the number.",
    ],
)
def test_a_riddle_is_noticed(riddle: str) -> None:
    assert RIDDLES.search(riddle)


def test_decisions_have_the_same_parts_in_the_same_order() -> None:
    for page in sorted((ROOT / "docs/decisions").glob("*.md")):
        parts = re.findall(r"^\*\*(\w[\w ]*?)[.*]", page.read_text(), re.MULTILINE)
        assert parts == ["Context", "Decision", "Consequences", "Rejected", "Enforced by"], page.name
