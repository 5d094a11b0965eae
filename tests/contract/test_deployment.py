"""Image, compose file, locks and the script that checks everything: looked at without a container engine."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path
from typing import Any

import pytest

from app.settings import Settings

ROOT = Path(__file__).parents[2]
SCRIPTS = Path(sysconfig.get_path("scripts"))
SECRETS = {"FORGETTERY_ADMIN_KEY": "key", "POSTGRES_PASSWORD": "password"}
NOT_IN_THE_IMAGE_LOCK = re.compile(r"torch|torchvision|triton|cuda-.*|nvidia-.*")


def pins(lock: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", (ROOT / lock).read_text(), re.MULTILINE))


def compose(*arguments: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SCRIPTS / "docker-compose", "--file", ROOT / "docker-compose.yml", *arguments],
        env={"PATH": os.environ["PATH"]} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def services(**environment: str) -> dict[str, Any]:
    rendered = compose("config", "--format", "json", environment=SECRETS | environment)
    assert rendered.returncode == 0, rendered.stderr
    found: dict[str, Any] = json.loads(rendered.stdout)["services"]
    return found


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    result = subprocess.run([SCRIPTS / "hadolint", ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, "")


@pytest.mark.parametrize("missing", sorted(SECRETS))
def test_compose_does_not_start_without_its_secrets(missing: str) -> None:
    given = {name: value for name, value in SECRETS.items() if name != missing}
    result = compose("config", "--quiet", environment=given)
    assert result.returncode != 0
    assert missing in result.stderr


def test_server_and_worker_are_one_image_that_starts_after_the_migration() -> None:
    found = services()
    assert found["server"]["image"] == found["worker"]["image"] == found["migrate"]["image"]
    assert found["migrate"]["depends_on"]["postgres"]["condition"] == "service_healthy"
    for name in ("server", "worker"):
        assert found[name]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
        assert found[name]["volumes"] == found["migrate"]["volumes"]
    assert found["worker"]["depends_on"]["server"]["condition"] == "service_healthy"


def test_workers_can_be_scaled_and_do_not_know_the_admin_key() -> None:
    found = services()
    assert not {"container_name", "ports"} & found["worker"].keys()
    assert [name for name in found if "FORGETTERY_ADMIN_KEY" in found[name]["environment"]] == ["server"]


def test_compose_publishes_on_loopback_alone() -> None:
    published = [port for service in services().values() for port in service.get("ports", [])]
    assert [port["host_ip"] for port in published] == ["127.0.0.1"]


def test_compose_sets_only_settings_that_exist() -> None:
    environment = services()["server"]["environment"]
    Settings.model_validate({name.removeprefix("FORGETTERY_").lower(): value for name, value in environment.items()})
    assert set(environment) <= {f"FORGETTERY_{name.upper()}" for name in Settings.model_fields}


def test_compose_passes_every_documented_variable_of_the_server_through() -> None:
    page = (ROOT / "docs/configuration.md").read_text().partition("## Client")[0]
    documented = set(re.findall(r"^\| `(FORGETTERY_\w+)`", page, re.MULTILINE))
    decided = {
        *("FORGETTERY_HOME", "FORGETTERY_HOST", "FORGETTERY_PORT"),  # by the image
        *("FORGETTERY_DATABASE_URL", "FORGETTERY_WORKER"),  # by the compose file
    }
    assert decided < documented
    # A boolean can hardly be told from its default otherwise; nothing is validated here.
    wanted = {name: f"as given for {name}" for name in documented - decided}
    found = services(**wanted)
    for name in ("server", "worker", "migrate"):
        passed = found[name]["environment"]
        secret = set() if name == "server" else {"FORGETTERY_ADMIN_KEY"}
        assert {key: passed.get(key) for key in wanted.keys() - secret} == {
            key: value for key, value in wanted.items() if key not in secret
        }


def test_what_is_not_given_to_compose_leaves_the_servers_defaults() -> None:
    environment = services()["server"]["environment"]
    given = {name.removeprefix("FORGETTERY_").lower(): value for name, value in environment.items()}
    settings = Settings.model_validate(given)
    fixed = {"admin_key", "database_url", "worker"}
    for name, field in Settings.model_fields.items():
        if name in given and name not in fixed:
            assert getattr(settings, name) == field.get_default(call_default_factory=True), name


def test_every_container_is_bounded_and_writes_to_its_volume_and_to_memory_alone() -> None:
    for name, service in services().items():
        assert int(service["mem_limit"]) >= 2**30, name
        assert 0 < service["pids_limit"] <= 1024, name
        assert service["read_only"] is True, name
        assert "/tmp" in {each.partition(":")[0] for each in service["tmpfs"]}, name
        assert "no-new-privileges:true" in service["security_opt"], name


def test_the_gpu_profile_of_the_compose_file_is_valid_once_it_is_no_comment(tmp_path: Path) -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    block = re.search(r"^  # worker-gpu:\n(?:  #.*\n)+", text, re.MULTILINE)
    assert block is not None
    uncommented = text.replace(block[0], re.sub(r"^  # ", "  ", block[0], flags=re.MULTILINE))
    file = tmp_path / "docker-compose.yml"
    file.write_text(uncommented)
    rendered = subprocess.run(
        [SCRIPTS / "docker-compose", "--file", file, "--profile", "gpu", "config", "--format", "json"],
        env={"PATH": os.environ["PATH"]} | SECRETS,
        capture_output=True,
        text=True,
        check=False,
    )
    assert rendered.returncode == 0, rendered.stderr
    worker = json.loads(rendered.stdout)["services"]["worker-gpu"]
    assert worker["deploy"]["resources"]["reservations"]["devices"][0]["capabilities"] == ["gpu"]
    assert worker["command"] == ["worker"]


def test_every_requirement_is_pinned_with_hashes() -> None:
    for lock in ("requirements.lock", "requirements-server.lock", "requirements-image.lock"):
        text = (ROOT / lock).read_text()
        for requirement in re.findall(r"^[a-z0-9].*(?:\n {4}.*)*", text, re.MULTILINE):
            assert "--hash=sha256:" in requirement, requirement


def test_the_image_lock_is_the_servers_part_of_the_lock_without_torch_and_cuda() -> None:
    server, image = pins("requirements-server.lock"), pins("requirements-image.lock")
    assert image.items() <= server.items()
    assert all(NOT_IN_THE_IMAGE_LOCK.fullmatch(name) for name in server.keys() - image.keys())
    assert not [name for name in image if NOT_IN_THE_IMAGE_LOCK.fullmatch(name)]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + project["optional-dependencies"]["server"]
    names = {re.split(r"[\[>=<]", requirement)[0] for requirement in wanted} - {"torch", "torchvision"}
    assert names <= image.keys()


def test_the_server_lock_is_the_lock_without_developer_tools() -> None:
    everything, server = pins("requirements.lock"), pins("requirements-server.lock")
    assert server.items() <= everything.items()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    tools = {re.split(r"[\[>=<]", requirement)[0] for requirement in project["dev"]}
    assert {"pytest", "mypy", "ruff"} <= tools
    assert not tools & server.keys()
    assert {"torch", "torchvision", "fastapi"} <= server.keys()


def test_no_deployment_file_names_a_package_index() -> None:
    for name in (
        "Dockerfile",
        "docker-compose.yml",
        "README.md",
        "requirements.lock",
        "requirements-server.lock",
        "requirements-image.lock",
        ".ci/run",
    ):
        assert not re.search(r"https?://[^\s\"]*(simple|whl)\b", (ROOT / name).read_text()), name


def test_ci_runs_the_readmes_test_command() -> None:
    readme = (ROOT / "README.md").read_text()
    tests = next(line for line in readme.splitlines() if line.endswith("pytest -n 2"))
    script = (ROOT / ".ci/run").read_text()
    for part in tests.split(" && ")[1:]:
        command = part.replace(".venv/bin/", "").replace(" -q", "").replace(" -e .", "")
        assert command in script.replace(" --quiet", "").replace(" -e .", ""), command


def test_ci_script_is_executable_and_stops_at_the_first_failure() -> None:
    assert os.access(ROOT / ".ci/run", os.X_OK)
    assert "set -euo pipefail" in (ROOT / ".ci/run").read_text()
    subprocess.run(["bash", "-n", ROOT / ".ci/run"], check=True)


def test_the_healthcheck_command_of_the_image_is_valid_python() -> None:
    line = next(
        line for line in (ROOT / "Dockerfile").read_text().splitlines() if line.strip().startswith('CMD ["python"')
    )
    command = json.loads(line.strip().removeprefix("CMD "))
    refused = subprocess.run(
        [sys.executable, *command[1:]], env={"FORGETTERY_PORT": "1"}, capture_output=True, text=True, check=False
    )
    assert refused.returncode == 1
    assert "Connection refused" in refused.stderr
