"""The log of the serving commands, and what their processes tell Prometheus."""

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from streamproc.cli.logs import JsonLines
from tests.support.commands import Up, start_up
from tests.support.producing import wait_until


def line(**fields: Any) -> dict[str, Any]:
    record = logging.makeLogRecord({"name": "streamproc.x", "levelno": 30, "levelname": "WARNING"} | fields)
    text = JsonLines().format(record)
    assert "\n" not in text
    found: dict[str, Any] = json.loads(text)
    return found


def test_a_record_is_one_line_of_json_with_all_that_it_has() -> None:
    found = line(msg="took %d ms\n", args=(5,), created=1_763_750_000.5, route="/v1/jobs/{job}", odd={1, 2}.__class__)
    assert found.pop("time") == "2025-11-21T18:33:20.500Z"
    assert found == {
        "level": "warning",
        "logger": "streamproc.x",
        "message": "took 5 ms\n",
        "route": "/v1/jobs/{job}",
        "odd": "<class 'set'>",
    }


def test_what_went_wrong_is_told_with_where() -> None:
    try:
        raise ValueError("disk full")
    except ValueError:
        found = line(msg="oh", exc_info=sys.exc_info())
    assert "ValueError: disk full" in found["error"]
    assert "test_logs.py" in found["error"]


def test_no_field_of_a_record_stands_for_its_message() -> None:
    found = line(msg="true", time="forged", level="forged", logger="forged")
    assert "forged" not in found.values()


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    data = tmp_path_factory.mktemp("logs") / "data"
    with start_up(data, "--log-format", "json", "--access-log", "--log-level", "debug") as running:
        yield running


def said(up: Up) -> list[dict[str, Any]]:
    return [json.loads(text) for text in up.talk.splitlines()]


def test_everything_that_up_says_is_a_line_of_json(up: Up) -> None:
    assert any("streamproc is up" in each["message"] for each in said(up))
    assert all({"time", "level", "logger", "message"} <= set(each) for each in said(up))


def test_requests_are_logged_by_their_route_and_without_what_is_secret(up: Up) -> None:
    secret = "s3cr3t" * 4
    with httpx.Client(base_url=up.gateway) as http:
        http.get(f"/v1/jobs/{secret}", headers={"authorization": f"Bearer {secret}", "cookie": f"streamproc={secret}"})
        for name in ("ticket", "share", "token", "access_token"):
            http.get(f"/v1/jobs?{name}={secret}")
    with suppress(InvalidStatus), connect(f"{up.gateway.replace('http', 'ws')}/v1/ws?ticket={secret}"):
        pass
    wait_until(lambda: sum(each["logger"] == "streamproc.access" for each in said(up)) >= 6)
    assert secret not in up.talk
    [first] = [each for each in said(up) if each.get("route") == "/v1/jobs/{job}"]
    assert (first["method"], first["status"], first["level"]) == ("GET", 404, "info")
    assert first["ms"] >= 0


def test_the_gateway_of_up_tells_what_its_projectors_count(up: Up) -> None:
    with httpx.Client(base_url=up.gateway) as http:
        http.post("/v1/events", json=[{"job": "a", "type": "job.noted"}] * 5)
        wait_until(lambda: "streamproc_events_folded_total 5.0" in http.get("/metrics").text)
        text = http.get("/metrics").text
    assert "streamproc_commit_seconds_count" in text
    assert text.count("# TYPE streamproc_fold_seconds histogram") == 1
    names = [each.split()[2] for each in text.splitlines() if each.startswith("# TYPE")]
    assert len(names) == len(set(names))


def test_what_a_projector_counted_goes_with_it(up: Up) -> None:
    [projector] = up.children("projector")
    counts = Path(projector.environ()["PROMETHEUS_MULTIPROC_DIR"])
    pid = projector.pid
    assert list(counts.glob(f"*_{pid}.db"))
    projector.kill()
    wait_until(lambda: not list(counts.glob(f"*_{pid}.db")))
    wait_until(lambda: list(counts.glob("*.db")))
    assert httpx.get(f"{up.gateway}/metrics").status_code == 200


def test_a_projector_tells_prometheus_itself_where_it_is_asked_to(up: Up) -> None:
    command = [sys.executable, "-m", "streamproc", "projector", "--redis", up.redis, "--json", "--metrics-port", "0"]
    with subprocess.Popen(
        [*command, "--namespace", "other"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None
            url = json.loads(process.stdout.readline())["metrics"]
            assert "streamproc_events_folded_total 0.0" in httpx.get(url).text
            assert "127.0.0.1" in url
        finally:
            process.terminate()
