"""The dialect of a task manager, by curl: what it takes, answers and refuses, and what becomes of a task."""

import json
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

import streamproc
from streamproc.config import Config
from streamproc.gateway.dialects.task_shapes import id_of, job_named
from streamproc.gateway.history import PAGE
from tests.support.gateways import serving
from tests.support.identities import auth_file, bearer, guarded, key_of, toml_key
from tests.support.producing import wait_until
from tests.support.programs import program
from tests.support.stack import Stack, running_stack

LISTED = {
    "id", "type", "status", "priority", "progress", "attempts", "claimed_by", "claimed_at", "created_at",
    "completed_at",
}  # fmt: skip


class Curl:
    """Calls routes of tasks as a shell script does."""

    def __init__(self, gateway: str) -> None:
        self._base = gateway
        self._program = program("curl")

    def __call__(self, path: str, body: dict[str, Any] | str | None = None) -> tuple[int, dict[str, Any]]:
        """POST a body, or GET: the status, and the envelope."""
        arguments = ["--silent", "--noproxy", "*", "--write-out", "\n%{http_code}", f"{self._base}{path}"]
        if body is not None:
            text = body if isinstance(body, str) else json.dumps(body)
            arguments += ["-X", "POST", "-H", "Content-Type: application/json", "-d", text]
        done = subprocess.run([self._program, *arguments], capture_output=True, check=True, text=True, timeout=30)
        content, _, status = done.stdout.rpartition("\n")
        envelope: dict[str, Any] = json.loads(content)
        assert envelope.keys() == {"success", "data", "message"}
        assert envelope["success"] is (int(status) < 400)
        return int(status), envelope

    def data(self, path: str, body: dict[str, Any] | None = None) -> Any:
        status, envelope = self(path, body)
        assert status in (200, 201), envelope
        return envelope["data"]

    def new(self, kind: str = "example.sleep", **fields: Any) -> int:
        created: int = self.data("/tasks", {"type": kind, **fields})["id"]
        return created

    def claim(self, worker: str = "worker-1", **fields: Any) -> Any:
        return self.data("/tasks/claim", {"worker_id": worker, **fields})


@pytest.fixture(scope="module")
def stack(server_url: str) -> Iterator[Stack]:
    """A stack of its own: claims take whatever task is there."""
    with running_stack(server_url) as running:
        yield running


@pytest.fixture
def curl(stack: Stack) -> Curl:
    return Curl(stack.http)


@pytest.fixture
def kind(job_id: str) -> str:
    """A type of tasks of the test's own."""
    return job_id


def test_a_task_is_created_claimed_reported_on_and_completed(server_url: str) -> None:
    with running_stack(server_url) as fresh:
        curl = Curl(fresh.http)
        status, created = curl("/api/tasks", {"type": "example.sleep", "params": {"seconds": 30}})
        assert (status, created["data"]["id"], created["data"]["type_id"]) == (201, 1, 1)
        assert (created["data"]["status"], created["data"]["attempts"]) == ("pending", 0)
        claimed = curl.data("/api/tasks/claim", {"worker_id": "test-worker", "task_type_id": 1})
        assert claimed.keys() == LISTED | {"params", "result", "error"}
        assert (claimed["id"], claimed["params"], claimed["attempts"]) == (1, {"seconds": 30}, 1)
        report = {"worker_id": "test-worker", "progress": 50, "message": "Halfway done"}
        assert curl.data("/api/tasks/1/progress", report) == {"id": 1, "progress": 50}
        task = curl.data("/api/tasks/1")
        assert (task["status"], task["progress"], task["claimed_by"]) == ("claimed", 50, "test-worker")
        assert (task["type"], task["completed_at"], task["result"]) == ("example.sleep", None, None)
        done = curl.data("/api/tasks/1/complete", {"worker_id": "test-worker", "result": {"slept": 30}})
        assert (done["status"], done["progress"], done["result"]) == ("completed", 100, {"slept": 30})
        assert done["completed_at"] is not None


def test_a_task_that_failed_says_why(curl: Curl, kind: str) -> None:
    task = curl.new(kind)
    curl.claim(type=kind)
    failed = curl.data(f"/tasks/{task}/fail", {"worker_id": "worker-1", "error": "no such file"})
    assert (failed["status"], failed["error"], failed["result"]) == ("failed", "no such file", None)


def test_numbers_of_tasks_rise_and_types_keep_theirs(curl: Curl, kind: str) -> None:
    first, second = (curl.data("/tasks", {"type": kind}) for _ in range(2))
    assert second["id"] > first["id"]
    assert second["type_id"] == first["type_id"]
    assert curl.data("/tasks", {"type": f"{kind}2"})["type_id"] != first["type_id"]


def test_tasks_created_at_once_have_numbers_of_their_own(stack: Stack, kind: str) -> None:
    with httpx.Client(base_url=stack.http, trust_env=False) as http, ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: http.post("/tasks", json={"type": kind}).json()["data"], range(24)))
    assert len({task["id"] for task in made}) == 24
    assert len({task["type_id"] for task in made}) == 1


def test_a_number_whose_name_another_job_has_is_passed_over(stack: Stack, curl: Curl, kind: str) -> None:
    taken = job_named(curl.new(kind) + 1)
    httpx.post(f"{stack.http}/v1/events", json={"job": taken, "type": "job.started"}).raise_for_status()
    stack.wait_for(taken, status="started")
    assert curl.new(kind) == int(str(id_of(taken))) + 1


def test_the_task_of_the_highest_priority_is_claimed_first_then_the_oldest(curl: Curl, kind: str) -> None:
    low, high, low_too = curl.new(kind), curl.new(kind, priority=5), curl.new(kind)
    claimed = [curl.claim(type=kind)["id"] for _ in range(3)]
    assert claimed == [high, low, low_too]
    assert curl.data(f"/tasks/{high}")["priority"] == 5


def test_a_claim_without_a_task_has_no_data(curl: Curl, kind: str) -> None:
    assert curl("/tasks/claim", {"worker_id": "worker-1", "type": kind}) == (
        200,
        {"success": True, "data": None, "message": "no task is pending"},
    )


def test_a_claim_is_of_its_type_by_name_or_by_number(curl: Curl, kind: str) -> None:
    other = f"{kind}2"
    task, number = curl.new(kind), curl.data("/tasks", {"type": other})["type_id"]
    assert curl.claim(type=kind)["id"] == task
    assert curl.claim(task_type_id=number)["type"] == other


@pytest.mark.parametrize("progress", [-1, 101, 50.5, "50", True, None])
def test_a_progress_that_is_no_whole_number_of_0_to_100_is_a_bad_value(curl: Curl, kind: str, progress: object) -> None:
    task = curl.new(kind)
    curl.claim(type=kind)
    status, refused = curl(f"/tasks/{task}/progress", {"worker_id": "worker-1", "progress": progress})
    assert status == 400
    assert refused["message"].startswith("progress: ")
    assert curl.data(f"/tasks/{task}")["progress"] == 0


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/tasks", {"params": {}}, "type"),
        ("/tasks", {"type": ""}, "type"),
        ("/tasks", {"type": "a\nb"}, "type"),
        ("/tasks", {"type": "a", "priority": 2_000_000}, "priority"),
        ("/tasks/claim", {}, "worker_id"),
        ("/tasks/claim", {"worker_id": "a\nb"}, "worker_id"),
        ("/tasks/claim", {"worker_id": "w", "lease_seconds": 0}, "lease_seconds"),
        ("/tasks/1/progress", {"progress": 5}, "worker_id"),
        ("/tasks/1/fail", {"worker_id": "w"}, "error"),
        ("/tasks", "{", "the body"),
        ("/tasks?limit=0", None, "limit"),
        ("/tasks?offset=-1", None, "offset"),
        ("/tasks?status=running", None, "status"),
    ],
)
def test_a_bad_value_is_named(curl: Curl, path: str, body: dict[str, Any] | str | None, field: str) -> None:
    status, refused = curl(path, body)
    assert (status, refused["data"]) == (400, None)
    assert refused["message"].startswith(field)


@pytest.mark.parametrize(
    ("what", "said"), [("progress", {"progress": 5}), ("complete", {"result": 1}), ("fail", {"error": "bad"})]
)
def test_only_the_worker_that_has_claimed_a_task_may_speak_of_it(
    curl: Curl, kind: str, what: str, said: dict[str, Any]
) -> None:
    task = curl.new(kind)
    path = f"/tasks/{task}/{what}"
    assert curl(path, {"worker_id": "worker-1", **said})[0] == 400
    curl.claim(type=kind)
    assert curl(path, {"worker_id": "worker-2", **said})[0] == 403
    assert curl(path, {"worker_id": "worker-1", **said})[0] == 200
    curl(f"/tasks/{task}/complete", {"worker_id": "worker-1"})
    assert curl(path, {"worker_id": "worker-1", **said})[0] == 400


def test_a_task_that_was_given_back_is_claimed_by_nobody_until_its_next_attempt(
    stack: Stack, curl: Curl, kind: str
) -> None:
    job = job_named(curl.new(kind))
    curl.claim(type=kind)
    httpx.post(f"{stack.http}/v1/jobs/{job}/release", json={"worker": "worker-1"}).raise_for_status()
    stack.wait_for(job, status="queued")
    task, report = id_of(job), {"worker_id": "worker-1", "progress": 5}
    assert curl(f"/tasks/{task}/progress", report)[0] == 400
    assert curl.data(f"/tasks/{task}").items() >= {"status": "pending", "claimed_by": None, "attempts": 1}.items()
    assert curl.claim(type=kind)["attempts"] == 2
    assert curl(f"/tasks/{task}/progress", report)[0] == 200
    assert stack.said(job)[-1] == {
        "type": "job.progressed", "percent": 5, "worker": "worker-1", "attempt": 2,
    }  # fmt: skip


def test_an_unknown_task_or_type_is_not_there(curl: Curl) -> None:
    gone = (404, {"success": False, "data": None, "message": "there is no such task"})
    for path in ("/tasks/999999", "/api/tasks/nope", "/tasks/0", "/tasks/no%20name", "/tasks/999999/history"):
        assert curl(path) == gone
    assert curl("/tasks/999999/progress", {"worker_id": "w", "progress": 5}) == gone
    assert curl("/tasks/claim", {"worker_id": "w", "task_type_id": 999})[0] == 404


def test_what_became_of_a_task_is_a_table(curl: Curl, kind: str) -> None:
    task = curl.new(kind)
    curl.claim(type=kind)
    for progress, message in ((25, "Step 1"), (50, None)):
        curl(f"/tasks/{task}/progress", {"worker_id": "worker-1", "progress": progress, "message": message})
    curl(f"/tasks/{task}/complete", {"worker_id": "worker-1"})
    found = curl.data(f"/tasks/{task}/history")
    rows = found["history"]
    assert [row["id"] for row in rows] == [1, 2, 3, 4, 5]
    assert {row["task_id"] for row in rows} == {task} == {found["task_id"]}
    assert [(row["status_change"], row["worker_id"], row["message"]) for row in rows] == [
        ("created", None, None),
        ("claimed", "worker-1", None),
        ("progress_update", "worker-1", "Progress: 25% - Step 1"),
        ("progress_update", "worker-1", "Progress: 50%"),
        ("completed", "worker-1", None),
    ]
    assert rows[0].keys() == {"id", "task_id", "status_change", "worker_id", "message", "created_at"}


def test_tasks_are_listed_by_page_status_and_type(stack: Stack, curl: Curl, kind: str) -> None:
    made = [curl.new(kind, priority=number) for number in range(5)]
    newest_first = made[::-1]
    page = curl.data(f"/tasks?type={kind}&limit=2&offset=1")
    assert [task["id"] for task in page["tasks"]] == newest_first[1:3]
    assert (page["count"], page["limit"], page["offset"]) == (2, 2, 1)
    assert page["tasks"][0].keys() == LISTED
    assert [task["priority"] for task in page["tasks"]] == [3, 2]
    claimed = curl.claim(type=kind)["id"]
    curl.claim("worker-2", type=kind)
    curl(f"/tasks/{claimed}/complete", {"worker_id": "worker-1"})
    counts = {
        status: curl.data(f"/tasks?type={kind}&status={status}")["count"]
        for status in ("pending", "claimed", "completed", "failed")
    }
    assert counts == {"pending": 3, "claimed": 1, "completed": 1, "failed": 0}
    beyond = curl.data(f"/tasks?type={kind}&offset=5")
    assert (beyond["tasks"], beyond["count"], beyond["limit"]) == ([], 0, 50)


def test_pages_of_tasks_reach_beyond_what_is_read_at_a_time(stack: Stack, curl: Curl, kind: str) -> None:
    events = [{"job": f"{kind}.{number}", "type": "job.queued", "kind": kind} for number in range(620)]
    httpx.post(f"{stack.http}/v1/events", json=events).raise_for_status()
    every = {event["job"] for event in events}

    def ids(query: str) -> list[str]:
        return [task["id"] for task in curl.data(f"/tasks?type={kind}&{query}")["tasks"]]

    wait_until(lambda: len(ids("limit=500&offset=120")) == 500)
    first, rest = ids("limit=500"), ids("limit=500&offset=500")
    assert (len(first), len(rest)) == (500, 120)
    assert {*first, *rest} == every


def test_any_job_is_a_task_by_its_own_name(stack: Stack, curl: Curl, job_id: str) -> None:
    with streamproc.connect(stack.http) as sp, sp.job(job_id, kind="import") as job:
        job.percent(33)
    stack.wait_for(job_id, status="finished")
    task = curl.data(f"/tasks/{job_id}")
    assert (task["id"], task["type"], task["status"], task["progress"]) == (job_id, "import", "completed", 100)


def test_a_long_history_is_one_table(stack: Stack, curl: Curl, job_id: str) -> None:
    count = PAGE + 3
    events = [{"job": job_id, "type": "job.progressed", "percent": 0.5}] * count
    httpx.post(f"{stack.http}/v1/events", json=events).raise_for_status()
    stack.wait_for(job_id, events=count)
    rows = curl.data(f"/tasks/{job_id}/history")["history"]
    assert [row["id"] for row in rows] == list(range(1, count + 1))


def test_a_task_created_again_under_its_key_is_the_same_task(stack: Stack, kind: str) -> None:
    made = [
        httpx.post(f"{stack.http}/tasks", json={"type": kind}, headers={"idempotency-key": f'"{kind}"'})
        for _ in range(2)
    ]
    assert made[0].json() == made[1].json()


@pytest.mark.anyio
async def test_a_task_is_created_where_nobody_folds_it_yet(server_url: str, namespace: str) -> None:
    async with serving(Config(redis=server_url, namespace=namespace, port=0)) as http:
        created = await http.post("/tasks", json={"type": "import"})
        assert (created.status_code, created.json()["data"]) == (201, {"id": 1, "type_id": 1})


@pytest.mark.anyio
async def test_tasks_of_others_are_not_there(server_url: str, namespace: str, tmp_path: Path) -> None:
    scopes = ("jobs:read", "claims", "events:write")
    path = auth_file(tmp_path, toml_key("mine", *scopes, kinds=["mine"]), toml_key("all", *scopes))
    mine, everyone = bearer(key_of("mine")), bearer(key_of("all"))
    async with guarded(server_url, namespace, path) as (service, http):
        for kind in ("mine", "theirs"):
            await http.post("/tasks", json={"type": kind}, headers=everyone)
        before = await service.log_length()
        assert (await http.post("/tasks", json={"type": "theirs"}, headers=mine)).status_code == 404
        assert await service.log_length() == before
        for path_ in ("/tasks/2", "/tasks/2/history"):
            foreign, unknown = [await http.get(each, headers=mine) for each in (path_, path_.replace("2", "99"))]
            assert foreign.status_code == 404
            assert foreign.json() == unknown.json()
        said = {"worker_id": "w", "progress": 5, "error": "bad"}
        for what in ("progress", "complete", "fail"):
            assert (await http.post(f"/tasks/2/{what}", json=said, headers=mine)).status_code == 404
        listed = (await http.get("/tasks", headers=mine)).json()["data"]["tasks"]
        assert [task["id"] for task in listed] == [1]
        claims = [await http.post("/tasks/claim", json={"worker_id": "w"}, headers=mine) for _ in range(2)]
        assert [claim.json()["data"] and claim.json()["data"]["id"] for claim in claims] == [1, None]


@pytest.mark.parametrize(
    ("job", "task"), [("task-7", 7), ("task-07", "task-07"), ("task-0", "task-0"), ("import-42", "import-42")]
)
def test_a_tasks_id_leads_to_its_job(job: str, task: int | str) -> None:
    assert id_of(job) == task
    assert job_named(task) == job
