"""What people ask of jobs over HTTP: pause, resume, cancel and retry, against every status."""

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from streamproc.gateway.control import objection
from tests.support.gateways import Service, serving, serving_with_projector
from tests.support.running import caught_up
from tests.support.servers import Server

pytestmark = pytest.mark.anyio

STATES: dict[tuple[str, str | None], str] = {
    # (status, requested): the actions that make sense
    ("queued", None): "pause cancel",
    ("queued", "pause"): "pause resume cancel",
    ("queued", "cancel"): "cancel",
    ("started", None): "pause cancel",
    ("started", "pause"): "pause resume cancel",
    ("started", "cancel"): "cancel",
    ("running", None): "pause cancel",
    ("running", "pause"): "pause resume cancel",
    ("running", "cancel"): "cancel",
    ("paused", None): "resume cancel",
    ("paused", "resume"): "pause resume cancel",
    ("paused", "cancel"): "cancel",
    ("finished", None): "",
    ("failed", None): "retry",
    ("canceled", None): "retry",
    ("canceled", "cancel"): "retry",
}


@pytest.mark.parametrize("action", ["pause", "resume", "cancel", "retry"])
@pytest.mark.parametrize(("state", "sensible"), STATES.items(), ids=lambda value: str(value))
def test_what_makes_sense_of_a_job_in_which_state(action: str, state: tuple[str, str | None], sensible: str) -> None:
    assert (objection(action, *state) is None) is (action in sensible.split())


def test_a_job_that_has_finished_is_tried_again_by_force_only() -> None:
    assert objection("retry", "finished", None, force=True) is None
    assert objection("retry", "running", None, force=True) is not None


@pytest.fixture
async def service(server: Server, namespace: str) -> AsyncIterator[Service]:
    async with serving_with_projector(server.url, namespace) as running:
        yield running


EVENTS: dict[str, list[dict[str, Any]]] = {
    "started": [{"type": "job.started"}],
    "running": [{"type": "job.progressed", "percent": 40}],
    "paused": [{"type": "job.progressed", "percent": 40}, {"type": "job.paused"}],
    "finished": [{"type": "job.finished"}],
    "failed": [{"type": "job.failed", "error": {"type": "E"}}],
    "canceled": [{"type": "job.canceled"}],
}


async def ask(service: Service, job: str, action: str, body: dict[str, Any] | None = None) -> tuple[int, Any]:
    response = await service.http.post(f"/v1/jobs/{job}/{action}", json=body)
    return response.status_code, response.json()


async def snapshot(service: Service, job: str) -> dict[str, Any]:
    found: dict[str, Any] = (await service.http.get(f"/v1/jobs/{job}")).json()
    return found


async def history(service: Service, job: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await service.http.get(f"/v1/jobs/{job}/events")).json()["events"]
    return found


@pytest.mark.parametrize("status", EVENTS)
async def test_a_wish_is_appended_or_refused_by_the_jobs_status(service: Service, status: str) -> None:
    for action in ("pause", "resume", "cancel", "retry"):
        job = f"{status}-{action}"
        await service.append(*({"job": job} | event for event in EVENTS[status]))
        code, answer = await ask(service, job, action)
        if action in STATES[status, None].split():
            assert (code, answer["job"]) == (202, job)
            assert (await snapshot(service, job))["position"] == answer["position"]
        else:
            assert (code, answer["type"], answer["job_status"]) == (
                409,
                "urn:streamproc:problem:status-conflict",
                status,
            )


async def test_a_wish_tells_the_worker_who_asks_and_why(service: Service) -> None:
    await service.append({"job": "a", "type": "job.started"})
    code, _ = await ask(service, "a", "pause", {"by": "ann", "reason": "maintenance"})
    assert code == 202
    assert (await snapshot(service, "a"))["requested"] == "pause"
    wish = (await history(service, "a"))[-1]["event"]
    assert (wish["type"], wish["by"], wish["reason"]) == ("job.pause_requested", "ann", "maintenance")
    assert (await ask(service, "a", "resume"))[0] == 202
    assert (await snapshot(service, "a"))["requested"] is None


async def test_an_answer_waits_until_the_job_is_as_it_was_asked_to_be(service: Service) -> None:
    await service.append({"job": "a", "type": "job.started"})
    for action in ("pause", "resume") * 5:
        assert (await ask(service, "a", action))[0] == 202
    assert (await ask(service, "a", "resume"))[0] == 409


async def test_without_a_projector_a_wish_is_taken_all_the_same(
    server: Server, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamproc.gateway.control._FOLD_SECONDS", 0.05)
    async with serving_with_projector(server.url, namespace) as service:
        await service.append({"job": "a", "type": "job.started"})
        config = service.config
    async with serving(config) as http:
        assert (await http.post("/v1/jobs/a/pause")).status_code == 202


async def test_an_unknown_job_is_404(service: Service) -> None:
    for action in ("pause", "resume", "cancel", "retry"):
        assert (await ask(service, "nobody", action))[0] == 404


@pytest.mark.parametrize("body", [{"reason": "x" * 1001}, {"by": ""}, {"by": "a\nb"}, {"force": 1}, {"what": 1}, []])
async def test_a_bad_body_is_refused_and_nothing_is_appended(service: Service, body: Any) -> None:
    await service.append({"job": "a", "type": "job.started"})
    response = await service.http.post("/v1/jobs/a/pause", json=body)
    assert response.status_code == 400
    assert len(await history(service, "a")) == 1


async def test_a_job_that_waits_in_the_queue_is_canceled_at_once(service: Service) -> None:
    await service.append({"job": "a", "type": "job.queued", "kind": "k"})
    code, _ = await ask(service, "a", "cancel", {"reason": "no longer needed"})
    found = await snapshot(service, "a")
    assert (code, found["status"], found["message"]) == (202, "canceled", "no longer needed")
    assert [each["event"]["type"] for each in await history(service, "a")] == [
        "job.queued",
        "job.cancel_requested",
        "job.canceled",
    ]
    response = await service.http.post("/v1/claims", json={"worker": "w"})
    assert response.status_code == 204


async def test_who_takes_up_a_job_all_the_same_still_sees_that_it_is_to_stop(service: Service) -> None:
    await service.append({"job": "a", "type": "job.queued"})
    await ask(service, "a", "cancel")
    await service.append({"job": "a", "type": "job.started"})
    assert (await snapshot(service, "a"))["requested"] == "cancel"
    assert (await history(service, "a"))[-1]["mark"] == "late"


async def test_a_job_that_was_taken_up_meanwhile_is_not_canceled_for_its_worker(service: Service) -> None:
    await service.append({"job": "a", "type": "job.queued"}, {"job": "a", "type": "job.started"})
    await service.append(
        {"job": "a", "type": "job.cancel_requested"}, {"job": "a", "type": "job.canceled", "by": "ann"}
    )
    found = await snapshot(service, "a")
    assert (found["status"], found["requested"]) == ("started", "cancel")


# Retry -------------------------------------------------------------------------------------------------------------


async def test_a_retry_is_the_next_attempt_of_the_same_job(service: Service) -> None:
    facts = {"kind": "k", "title": "T", "labels": {"a": "b"}, "stages": [{"name": "S", "weight": 2}], "priority": 3}
    await service.append({"job": "a", "type": "job.queued", "params": {"file": "x"}} | facts)
    await service.append({"job": "a", "type": "job.progressed", "percent": 40})
    await service.append({"job": "a", "type": "job.failed", "error": {"type": "E"}})
    code, answer = await ask(service, "a", "retry", {"reason": "fixed"})
    assert (code, answer["attempt"]) == (202, 2)
    found = await snapshot(service, "a")
    assert (found["status"], found["attempt"], found["percent"], found["error"]) == ("queued", 2, 0.0, None)
    assert (found["kind"], found["title"], found["labels"], found["stages"][0]["weight"]) == ("k", "T", {"a": "b"}, 2)
    claimed = (await service.http.post("/v1/claims", json={"worker": "w"})).json()
    assert (claimed["params"], claimed["attempt"]) == ({"file": "x"}, 2)


async def test_two_retries_at_once_are_one_attempt(service: Service) -> None:
    await service.append({"job": "a", "type": "job.failed"})
    codes: list[int] = []

    async def retry() -> None:
        codes.append((await service.http.post("/v1/jobs/a/retry")).status_code)

    async with anyio.create_task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(retry)
    await caught_up(service.client, service.keys)
    assert set(codes) <= {202, 409}
    assert 202 in codes
    assert (await snapshot(service, "a"))["attempt"] == 2
    assert (await ask(service, "a", "retry"))[0] == 409


async def test_a_job_that_has_finished_is_retried_by_force(service: Service) -> None:
    await service.append({"job": "a", "type": "job.finished"})
    assert (await ask(service, "a", "retry"))[0] == 409
    assert (await ask(service, "a", "retry", {"force": True}))[0] == 202
    assert (await snapshot(service, "a"))["status"] == "queued"
