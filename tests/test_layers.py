"""The layers: a file imports only from those above its own, and only one of them talks to the server."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import streamproc

ROOT = Path(__file__).parent.parent
LAYERS = [
    {"errors", "position", "durations", "excerpt"},
    {"events", "wire", "indexes", "filters", "queues", "projection", "chosen", "config", "auth", "keys", "telemetry"},
    {
        "connection",
        "log",
        "listing",
        "answers",
        "append",
        "sse",
        "links",
        "client",
        "crowd",
        "post",
        "store",
        "ownership",
        "runs",
        "sweeps",
        "claims",
        "numbers",
        "subscription",
        "inspection",
        "dead",
        "findings",
        "vault",
    },
    {
        "kinds",
        "past",
        "folding",
        "owned",
        "rounds",
        "releaser",
        "sweeper",
        "projector",
        "gathering",
        "watched",
        "hub",
        "producer",
    },
    {"gateway", "integrations", "tqdm", "trackers"},
    {"access", "demo", "embedded", "cli", "__main__"},
]
ALONE = [
    {"folding", "owned", "rounds", "releaser", "sweeper", "projector"},
    {"gathering", "watched", "hub"},
    {"producer", "tqdm", "trackers"},
]
PURE = {"redis", "anyio", "asyncio", "starlette", "uvicorn", "httpx", "time"}


def modules(package: str) -> Iterator[tuple[str, Path]]:
    for path in sorted((ROOT / package).rglob("*.py")):
        yield path.relative_to(ROOT / package).parts[0].removesuffix(".py"), path


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def layer(name: str) -> int:
    return next(number for number, names in enumerate(LAYERS) if name in names)


def uses(path: Path) -> set[str]:
    """The parts of the engine that a file imports."""
    known = set().union(*LAYERS)
    return {
        parts[1]
        for parts in (name.split(".") for name in imports(path))
        if parts[0] == "streamproc" and len(parts) > 1 and parts[1] in known
    }


ENGINE = [(name, path) for name, path in modules("streamproc") if name != "__init__"]


@pytest.mark.parametrize(("name", "path"), ENGINE, ids=lambda value: getattr(value, "stem", value))
def test_a_file_imports_only_from_its_layer_and_above(name: str, path: Path) -> None:
    below = {used for used in uses(path) if layer(used) > layer(name)}
    assert not below


@pytest.mark.parametrize(("name", "path"), ENGINE, ids=lambda value: getattr(value, "stem", value))
def test_projector_hub_and_producer_do_not_know_one_another(name: str, path: Path) -> None:
    for group in ALONE:
        if name in group:
            strangers = set().union(*(other for other in ALONE if other is not group))
            assert not uses(path) & strangers


@pytest.mark.parametrize(("name", "path"), ENGINE, ids=lambda value: getattr(value, "stem", value))
def test_the_engine_chooses_no_projections_but_at_its_root(name: str, path: Path) -> None:
    if layer(name) < len(LAYERS) - 1:
        assert not [used for used in imports(path) if used.split(".")[0] == "projections"]


@pytest.mark.parametrize(("name", "path"), ENGINE, ids=lambda value: getattr(value, "stem", value))
def test_only_the_third_layer_talks_to_the_server(name: str, path: Path) -> None:
    roots = {used.split(".")[0] for used in imports(path)}
    if layer(name) < 2:
        assert not roots & PURE
    elif layer(name) > 2:
        assert "redis" not in roots


@pytest.mark.parametrize("path", [path for name, path in ENGINE if name == "integrations"], ids=lambda path: path.stem)
def test_integrations_know_only_what_everybody_may_use(path: Path) -> None:
    public = {f"streamproc.{name}" for name in streamproc.__all__} | {"streamproc"}
    own = ("streamproc.integrations.", "streamproc.producer.current")
    used = {used for used in imports(path) if used.split(".")[0] == "streamproc"}
    assert not {used for used in used - public if not used.startswith(own)}


@pytest.mark.parametrize("path", [path for _, path in modules("projections")], ids=lambda path: path.stem)
def test_projections_know_only_events_and_the_protocol(path: Path) -> None:
    assert uses(path) <= {"events", "projection"}
    assert not {used.split(".")[0] for used in imports(path)} & PURE
