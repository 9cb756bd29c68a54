"""compose.yaml and the Dockerfile say things that the command line accepts. No container engine is needed."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from streamproc.cli import main
from streamproc.config import Config

ROOT = Path(__file__).parent.parent


def services() -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / "compose.yaml").read_text())["services"])


def parse(arguments: list[str]) -> dict[str, Any]:
    """What the command line makes of arguments, without running them."""
    name, *rest = arguments
    return dict(main.commands[name].make_context(name, rest, parent=click.Context(main)).params)


def ours() -> list[tuple[str, list[str]]]:
    """Each command line of ours in compose.yaml, with where it stands."""
    found = []
    for name, service in services().items():
        if "build" in service:
            found.append((f"{name}.command", service["command"]))
        kind, *check = service["healthcheck"]["test"]
        assert kind == "CMD"
        if check[0] == "streamproc":
            found.append((f"{name}.healthcheck", check[1:]))
    return found


def instructions() -> dict[str, str]:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    return {line.split()[0]: line.split(maxsplit=1)[1] for line in lines if line and not line.startswith("#")}


@pytest.mark.parametrize("arguments", [pytest.param(line, id=where) for where, line in ours()])
def test_every_command_line_of_compose_is_one_that_the_cli_accepts(arguments: list[str]) -> None:
    parse(arguments)  # or it raises a usage error


def test_a_command_line_that_the_cli_does_not_know_would_be_noticed() -> None:
    with pytest.raises(click.UsageError):
        parse(["projector", "--no-such-flag"])


def test_the_settings_of_the_roles_in_compose_can_work() -> None:
    for name in ("projector", "gateway"):
        given = parse(services()[name]["command"])
        config = Config(**{field: given[field] for field in Config.__struct_fields__ if field in given}).check()
        assert config.redis == "redis://server:6379/0"


def test_the_roles_wait_for_a_healthy_server_that_keeps_its_data_and_evicts_nothing() -> None:
    for name in ("projector", "gateway"):
        assert services()[name]["depends_on"] == {"server": {"condition": "service_healthy"}}
    command = shlex.join(services()["server"]["command"])
    assert "--appendonly yes" in command
    assert "--maxmemory-policy noeviction" in command
    assert services()["server"]["volumes"] == ["data:/data"]


def test_the_gateway_without_authentication_is_published_on_loopback_only() -> None:
    assert parse(services()["gateway"]["command"])["insecure"] is True
    assert services()["gateway"]["ports"] == ["127.0.0.1:8700:8700"]
    assert [name for name, service in services().items() if "ports" in service] == ["gateway"]


def test_the_gateway_is_healthy_when_it_is_ready() -> None:
    *program, source = services()["gateway"]["healthcheck"]["test"]
    assert program == ["CMD", "python", "-c"]
    compile(source, "healthcheck", "exec")
    port = parse(services()["gateway"]["command"])["port"]
    assert f"http://127.0.0.1:{port}/readyz" in source


def test_the_image_runs_the_cli_as_somebody_else_than_root() -> None:
    dockerfile = instructions()
    assert json.loads(dockerfile["ENTRYPOINT"]) == ["streamproc"]
    assert dockerfile["USER"] == "streamproc"
    assert re.search(r"useradd .*streamproc", dockerfile["RUN"])
    with pytest.raises(click.exceptions.Exit) as leaving:
        main.make_context("streamproc", json.loads(dockerfile["CMD"]))
    assert leaving.value.exit_code == 0


def test_the_image_holds_what_the_package_is_built_from() -> None:
    copied = set(re.findall(r"^COPY (.*) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
    names = {name for line in copied for name in line.split()}
    assert names >= {"pyproject.toml", "README.md", "LICENSE", "streamproc", "projections"}
