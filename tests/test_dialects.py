"""The dialects of progress tracking, and of a status and a socket: what they say of jobs, and to whom."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from streamproc.config import Config
from streamproc.gateway.dialects.overviews import MOST_DOCUMENTS
from streamproc.gateway.history import PAGE
from streamproc.store import Store
from tests.support.gateways import Service, serving, serving_with_projector
from tests.support.identities import auth_file, bearer, guarded, key_of, toml_key
from tests.support.running import eventually

pytestmark = pytest.mark.anyio

EVENT_KEYS = {
    "job_id", "type", "timestamp", "percent", "stage", "stage_index", "total_stages", "completed_items", "total_items",
    "message", "details", "estimated_remaining",
}  # fmt: skip
STATUS_KEYS = {"job_id", "status", "percent", "message", "result", "error", "updated_at"}


@pytest.fixture
async def service(server_url: str, namespace: str) -> AsyncIterator[Service]:
    async with serving_with_projector(server_url, namespace) as running:
        yield running


async def progress(service: Service, job: str) -> dict[str, Any]:
    response = await service.http.get(f"/api/jobs/{job}/progress")
    assert response.status_code == 200, response.text
    state: dict[str, Any] = response.json()
    return state


async def history(service: Service, job: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = (await service.http.get(f"/api/jobs/{job}/progress/history")).json()["history"]
    return rows


# Progress tracking ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "status"),
    [
        ("job.queued", "pending"),
        ("job.started", "running"),
        ("job.progressed", "running"),
        ("job.paused", "running"),
        ("job.finished", "completed"),
        ("job.failed", "failed"),
        ("job.canceled", "failed"),
    ],
)
async def test_a_jobs_status_is_in_the_dialects_words(service: Service, event: str, status: str) -> None:
    await service.append({"job": "a", "type": event})
    assert (await progress(service, "a"))["status"] == status


async def test_a_job_that_says_nothing_of_how_far_it_is_has_a_bar_at_0(service: Service) -> None:
    await service.append({"job": "a", "type": "job.progressed", "message": "looking"})
    state = await progress(service, "a")
    assert state.keys() >= EVENT_KEYS
    assert (state["type"], state["percent"], state["overall_percent"]) == ("indeterminate", None, 0)
    assert state["message"] == "looking"


async def test_stages_are_counted_from_1_and_named_as_the_dialect_does(service: Service) -> None:
    stages = [{"name": name} for name in ("a", "b", "c", "d")]
    await service.append(
        {"job": "j", "type": "job.started", "stages": stages},
        {"job": "j", "type": "stage.finished", "stage": "a"},
        {"job": "j", "type": "stage.skipped", "stage": "b"},
        {"job": "j", "type": "stage.progressed", "stage": "c", "percent": 40},
    )
    state = await progress(service, "j")
    assert [stage["status"] for stage in state["stages"]] == ["completed", "skipped", "running", "pending"]
    assert [stage["progress"] for stage in state["stages"]] == [100, 0, 40, 0]
    assert (state["type"], state["stage"], state["stage_index"], state["total_stages"]) == ("stage", "c", 3, 4)
    assert state["current_stage"] == "c"
    assert state["stages"][0].keys() == {"name", "status", "progress", "duration"}


async def test_units_are_the_documents(service: Service) -> None:
    await service.append(
        {"job": "j", "type": "unit.added", "unit": "1.pdf", "weight": 1000},
        {"job": "j", "type": "unit.progressed", "unit": "2.pdf", "weight": 2000, "percent": 50, "message": "half"},
        {"job": "j", "type": "unit.finished", "unit": "3.pdf", "weight": 1000},
        {"job": "j", "type": "unit.failed", "unit": "4.pdf", "error": {"type": "E", "detail": "no page"}},
    )
    state = await progress(service, "j")
    documents = state["documents"]
    assert [document["name"] for document in documents] == ["1.pdf", "2.pdf", "3.pdf", "4.pdf"]
    assert [document["status"] for document in documents] == ["pending", "processing", "completed", "failed"]
    assert documents[1].keys() == {"name", "status", "progress", "message", "duration", "error"}
    assert (documents[1]["progress"], documents[1]["message"], documents[3]["error"]) == (50, "half", "no page")
    assert (state["total_documents"], state["completed"], state["failed"]) == (4, 1, 1)
    assert state["overall_percent"] == 50


async def test_the_first_documents_are_shown_and_all_are_counted(service: Service) -> None:
    count = MOST_DOCUMENTS + 5
    await service.append(*[{"job": "j", "type": "unit.added", "unit": f"{number}"} for number in range(count)])
    state = await progress(service, "j")
    assert state["total_documents"] == count
    assert [document["name"] for document in state["documents"]] == [str(number) for number in range(MOST_DOCUMENTS)]


async def test_the_history_has_each_report_that_counted_in_order(service: Service) -> None:
    await service.append(
        {"job": "j", "type": "job.started"},
        {"job": "j", "type": "stage.started", "stage": "Parse", "index": 1, "total_stages": 4, "src": "s", "seq": 1},
        {"job": "j", "type": "stage.started", "stage": "Parse", "index": 1, "total_stages": 4, "src": "s", "seq": 1},
        {"job": "j", "type": "job.heartbeat"},
        {"job": "j", "type": "job.progressed", "done": 3, "total": 4, "message": "row 3", "details": {"row": 3}},
        {"job": "j", "type": "job.progressed"},
        {"job": "j", "type": "job.progressed", "percent": 80},
        {"job": "j", "type": "job.failed", "error": {"type": "E", "detail": "no page"}},
        {"job": "j", "type": "job.progressed", "percent": 90},
    )
    rows = await history(service, "j")
    assert all(row.keys() == EVENT_KEYS for row in rows)
    assert [row["type"] for row in rows] == ["stage", "items", "indeterminate", "percentage", "indeterminate"]
    assert [row["percent"] for row in rows] == [25, 75, None, 80, None]
    assert (rows[0]["stage"], rows[0]["stage_index"], rows[0]["total_stages"]) == ("Parse", 1, 4)
    assert (rows[1]["completed_items"], rows[1]["total_items"], rows[1]["details"]) == (3, 4, {"row": 3})
    assert rows[4]["message"] == "no page"


async def test_a_history_of_many_pages_is_one_list(service: Service) -> None:
    count = 2 * PAGE + 7
    await service.append(*[{"job": "j", "type": "job.progressed", "done": n, "total": count} for n in range(count)])
    assert [row["completed_items"] for row in await history(service, "j")] == list(range(count))


async def test_a_history_without_a_report_is_an_empty_list(service: Service) -> None:
    await service.append({"job": "j", "type": "job.queued"})
    assert await history(service, "j") == []


async def test_messages_of_the_stream_have_no_names(service: Service) -> None:
    await service.append({"job": "j", "type": "job.progressed", "percent": 7}, {"job": "j", "type": "job.canceled"})
    response = await service.http.get("/progress/j/stream")
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["cache-control"] == "no-cache"
    fields = {line.partition(":")[0] for line in response.text.splitlines() if line}
    assert fields <= {"retry", "id", "data", ""}
    [state] = [json.loads(line.removeprefix("data: ")) for line in response.text.splitlines() if line[:5] == "data:"]
    assert state == await progress(service, "j")


async def test_who_has_had_the_end_is_told_that_there_is_no_more_and_who_has_not_gets_it(service: Service) -> None:
    before, end = await service.append(
        {"job": "j", "type": "job.progressed", "percent": 7}, {"job": "j", "type": "job.failed"}
    )
    again = await service.http.get("/progress/j/stream", headers={"last-event-id": end})
    assert (again.status_code, again.content) == (204, b"")
    for headers in ({"last-event-id": before}, {}):
        assert '"status":"failed"' in (await service.http.get("/progress/j/stream", headers=headers)).text
    await service.append({"job": "j", "type": "job.started", "attempt": 2}, {"job": "j", "type": "job.finished"})
    reopened = await service.http.get("/progress/j/stream", headers={"last-event-id": end})
    assert '"status":"completed"' in reopened.text


async def test_units_are_read_once_for_all_who_follow_a_job(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    await service.append({"job": "j", "type": "unit.finished", "unit": "1.pdf"}, {"job": "j", "type": "job.finished"})
    read, reads = Store.units, []

    async def counted(store: Store, job: str, after: int, limit: int) -> list[tuple[int, bytes]]:
        reads.append(job)
        return await read(store, job, after, limit)

    monkeypatch.setattr(Store, "units", counted)
    told = []

    async def follow() -> None:
        told.append((await service.http.get("/progress/j/stream")).text)

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(follow)
    assert reads == ["j"]
    assert all('"name":"1.pdf","status":"completed"' in text for text in told)


# A status and a socket -----------------------------------------------------------------------------------------------


async def test_a_status_has_a_whole_percent_and_a_message_always(service: Service) -> None:
    await service.append({"job": "j", "type": "job.queued"})
    first = (await service.http.get("/status/j")).json()
    assert first.keys() == STATUS_KEYS
    assert (first["status"], first["percent"], first["message"], first["result"]) == ("queued", 0, "", None)
    await service.append({"job": "j", "type": "job.progressed", "percent": 99.99, "message": "nearly"})
    second = (await service.http.get("/status/j")).json()
    assert (second["status"], second["percent"], second["message"]) == ("running", 99, "nearly")
    await service.append({"job": "j", "type": "job.failed", "error": {"type": "ValueError", "detail": "bad"}})
    third = (await service.http.get("/status/j")).json()
    assert (third["status"], third["error"]) == ("failed", {"type": "ValueError", "detail": "bad"})


def socket_url(http: httpx.AsyncClient, job: str) -> str:
    return f"{str(http.base_url).replace('http', 'ws', 1).rstrip('/')}/ws/{job}"


async def test_a_socket_waits_for_a_job_and_takes_no_notice_of_what_is_said(service: Service) -> None:
    async with connect(socket_url(service.http, "later")) as socket:
        for _ in range(100):
            await socket.send("hello")
        await service.append({"job": "later", "type": "job.started"})
        first = json.loads(await socket.recv())
        assert (first.keys(), first["status"]) == (STATUS_KEYS, "started")
        await service.append({"job": "later", "type": "job.finished", "result": 7})
        last = json.loads(await socket.recv())
        assert (last["status"], last["result"]) == ("finished", 7)
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1000


async def clients(service: Service) -> list[str]:
    """How many there are, over each transport that has some."""
    text = (await service.http.get("/metrics")).text
    return [line for line in text.splitlines() if line.startswith("streamproc_clients{") and line[-4:] != " 0.0"]


async def test_clients_that_go_in_the_middle_leave_nothing_behind(service: Service) -> None:
    await service.append({"job": "j", "type": "job.started"})
    before = await clients(service)

    async def leave_a_stream(job: str) -> None:
        async with service.http.stream("GET", f"/progress/{job}/stream") as response:
            await anext(response.aiter_raw())

    async def leave_a_socket(job: str) -> None:
        socket = await connect(socket_url(service.http, job))
        socket.transport.abort()

    async with anyio.create_task_group() as tasks:
        for job in ("j", "later") * 10:
            tasks.start_soon(leave_a_stream, job)
            tasks.start_soon(leave_a_socket, job)

    async def all_gone() -> bool:
        return await clients(service) == before

    await eventually(all_gone)


# To whom -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/jobs/{}/progress", {"error": "Job not found"}),
        ("/api/jobs/{}/progress/history", {"error": "Job not found"}),
        ("/status/{}", {"detail": "job not found"}),
    ],
)
async def test_a_job_that_is_not_there_is_refused_in_the_dialects_shape(
    service: Service, path: str, body: dict[str, Any]
) -> None:
    for job in ("nope", "no%20name"):
        response = await service.http.get(path.format(job))
        assert (response.status_code, response.json()) == (404, body)


async def test_jobs_of_others_are_not_there(server_url: str, namespace: str, tmp_path: Path) -> None:
    path = auth_file(tmp_path, toml_key("mine", "jobs:read", kinds=["mine"]))
    headers = bearer(key_of("mine"))
    async with guarded(server_url, namespace, path) as (service, http):
        await service.append(
            {"job": "mine", "type": "job.finished", "kind": "mine"},
            {"job": "theirs", "type": "job.finished", "kind": "theirs"},
        )
        for route in ("/progress/{}/stream", "/api/jobs/{}/progress", "/api/jobs/{}/progress/history", "/status/{}"):
            told = [await http.get(route.format(job), headers=headers) for job in ("theirs", "nope")]
            assert {(response.status_code, response.content) for response in told} == {(404, told[1].content)}
        for job in ("theirs", "nope"):
            with pytest.raises(InvalidStatus) as refused:
                await connect(socket_url(http, job), additional_headers=headers)
            assert refused.value.response.status_code == 404
            assert json.loads(refused.value.response.body) == {"detail": "job not found"}


async def test_who_asks_without_a_key_is_refused_in_the_dialects_shape(
    server_url: str, namespace: str, tmp_path: Path
) -> None:
    async with guarded(server_url, namespace, auth_file(tmp_path, toml_key("mine", "claims"))) as (_, http):
        anonymous = await http.get("/status/j")
        assert (anonymous.status_code, list(anonymous.json())) == (401, ["detail"])
        assert "www-authenticate" in anonymous.headers
        limited = await http.get("/api/jobs/j/progress", headers=bearer(key_of("mine")))
        assert (limited.status_code, list(limited.json())) == (403, ["error"])


async def test_dialects_can_be_left_out(server_url: str, namespace: str) -> None:
    config = Config(redis=server_url, namespace=namespace, port=0, no_dialects=True)
    async with serving(config) as service, httpx.AsyncClient(base_url=service.base_url, trust_env=False) as http:
        for path in ("/tasks", "/status/a", "/progress/a/stream", "/api/jobs/a/progress"):
            response = await http.get(path)
            assert response.json()["detail"] == "there is nothing here"
        assert "/tasks" not in (await http.get("/openapi.json")).json()["paths"]
        assert (await http.get("/v1/jobs")).status_code == 200
