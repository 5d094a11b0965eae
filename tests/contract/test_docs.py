"""The documents say what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer.main

from app.audit.events import EVENTS
from app.cli import app as command_line
from app.cli.exits import EXIT_CODES
from app.settings import Settings

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md"), ROOT / "models_store/README.md"]
)
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


def test_the_command_line_page_lists_every_exit_code() -> None:
    documented = {int(row[0]) for row in table_rows("docs/cli.md") if row[0].isdigit()}
    assert documented == {0, 2, 130, *EXIT_CODES.values()}


def test_the_audit_page_lists_every_event_with_its_details() -> None:
    events = {
        row[0].strip("`"): re.findall(r"`([^`]+)`", row[1]) for row in table_rows("docs/audit.md") if "." in row[0]
    }
    assert events == {event: list(details) for event, details in EVENTS.items()}


def test_decisions_have_the_same_parts_in_the_same_order() -> None:
    for page in sorted((ROOT / "docs/decisions").glob("*.md")):
        parts = re.findall(r"^\*\*(\w[\w ]*?)[.*]", page.read_text(), re.MULTILINE)
        assert parts == ["Context", "Decision", "Consequences", "Rejected", "Enforced by"], page.name
