"""What the document says of the dialects' routes."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from streamproc.gateway.reference.parts import JSON, Answer, Body, Operation, json_answer
from streamproc.gateway.reference.shapes import ref

__all__ = ["OPERATIONS"]

_BODY_REFUSALS: Final = (400, 408, 413, 415)
_WRITES: Final = ("Idempotency-Key", "traceparent")
_ONCE: Final = (409, 422)

_OF_JOBS: Final[Mapping[tuple[str, str], Operation]] = {
    ("GET", "/progress/{job}/stream"): Operation(
        tag="Dialects",
        name="stream_progress",
        summary="A job, live, in the dialect of progress tracking",
        about="Server-sent events without names, each an Overview; the first comes at once. Who has had the last one "
        "and connects again is answered 204.",
        takes=("Last-Event-ID",),
        answers={
            200: Answer("A stream.", {"text/event-stream": {"type": "string"}}),
            204: Answer("Nothing more will come."),
        },
        refusals=(400, 404),
        refused="ProgressRefusal",
    ),
    ("GET", "/api/jobs/{job}/progress"): Operation(
        tag="Dialects",
        name="get_progress",
        summary="A job as it is, in the dialect of progress tracking",
        answers={200: json_answer("The job.", "Overview")},
        refusals=(404,),
        refused="ProgressRefusal",
    ),
    ("GET", "/api/jobs/{job}/progress/history"): Operation(
        tag="Dialects",
        name="get_progress_history",
        summary="What has been reported of a job, in the dialect of progress tracking",
        answers={200: json_answer("The reports, the oldest first.", "ProgressHistory")},
        refusals=(404,),
        refused="ProgressRefusal",
    ),
    ("GET", "/status/{job}"): Operation(
        tag="Dialects",
        name="get_status",
        summary="A job as it is, in the dialect of a status and a socket",
        about="`/ws/{job}` is a WebSocket that sends the same at once, and whenever it changes.",
        answers={200: json_answer("The job.", "Status")},
        refusals=(404,),
        refused="StatusRefusal",
    ),
}


def _task(name: str, summary: str, answers: Mapping[int, Answer], **more: Any) -> Operation:
    return Operation(tag="Dialects", name=name, summary=summary, answers=answers, refused="TaskRefusal", **more)


def _report(name: str, summary: str, body: str, example: dict[str, Any], answer: str) -> Operation:
    return _task(
        name,
        summary,
        {200: json_answer("It is done.", answer)},
        about="403 where another worker has the task, 400 where none has.",
        takes=_WRITES,
        body=Body({JSON: ref(body)}, example={"worker_id": "worker-1", **example}),
        refusals=(*_BODY_REFUSALS, 404, *_ONCE),
    )


def _of_tasks(prefix: str, suffix: str) -> Iterator[tuple[tuple[str, str], Operation]]:
    path = f"{prefix}/tasks"
    yield (
        ("POST", path),
        _task(
            f"create_task{suffix}",
            "Create a task",
            {201: json_answer("It was created.", "CreatedTaskAnswer")},
            takes=_WRITES,
            body=Body({JSON: ref("NewTask")}, example={"type": "import", "params": {"rows": 80}}),
            refusals=(*_BODY_REFUSALS, 404, *_ONCE),
        ),
    )
    yield (
        ("GET", path),
        _task(
            f"list_tasks{suffix}",
            "List tasks",
            {200: json_answer("The newest first.", "TaskListAnswer")},
            takes=("limit", "offset", "status of tasks", "type of tasks"),
            refusals=(400,),
        ),
    )
    yield (
        ("POST", f"{path}/claim"),
        _task(
            f"claim_task{suffix}",
            "Claim the next task",
            {200: json_answer("The task; or null where none is pending.", "TaskAnswer")},
            about="By priority, then age.",
            takes=_WRITES,
            body=Body({JSON: ref("ClaimTask")}, example={"worker_id": "worker-1", "type": "import"}),
            refusals=(*_BODY_REFUSALS, 404, *_ONCE),
        ),
    )
    yield (
        ("GET", f"{path}/{{task}}"),
        _task(f"get_task{suffix}", "A task", {200: json_answer("It.", "TaskAnswer")}, refusals=(404,)),
    )
    yield (
        ("GET", f"{path}/{{task}}/history"),
        _task(
            f"get_task_history{suffix}",
            "What became of a task",
            {200: json_answer("Rows, the oldest first.", "TaskHistoryAnswer")},
            refusals=(404,),
        ),
    )
    for name, summary, body, example, answer in (
        ("progress", "Report how far a task is", "ReportTask", {"progress": 50}, "NotedProgressAnswer"),
        ("complete", "End a task that is done", "CompleteTask", {"result": {"rows": 80}}, "TaskAnswer"),
        ("fail", "End a task that can't be done", "FailTask", {"error": "no such file"}, "TaskAnswer"),
    ):
        yield ("POST", f"{path}/{{task}}/{name}"), _report(f"{name}_task{suffix}", summary, body, example, answer)


OPERATIONS: Final[Mapping[tuple[str, str], Operation]] = {
    **_OF_JOBS,
    **dict(_of_tasks("", "")),
    **dict(_of_tasks("/api", "_of_api")),
}
"""By method and path, as in `streamproc.gateway.reference.operations`."""
