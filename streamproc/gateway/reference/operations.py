"""The table of operations: what the document says of each route. That it has every route is tested."""

from collections.abc import Mapping
from typing import Final

from streamproc.gateway import cloudevents
from streamproc.gateway.reference.parts import JSON, NDJSON, Answer, Body, Operation, json_answer, page
from streamproc.gateway.reference.shapes import Schema, ref

__all__ = ["OPERATIONS"]

_EVENT: Final = {"job": "import-42", "type": "job.progressed", "percent": 41.25, "message": "row 33/80"}
_WRITES: Final = ("Idempotency-Key", "traceparent")
_BODY_REFUSALS: Final = (400, 408, 413, 415)
_ONCE: Final = (409, 422)
_STREAM: Final[Mapping[str, Schema]] = {"text/event-stream": {"type": "string"}}
_TEXT: Final[Mapping[str, Schema]] = {"text/plain": {"type": "string"}}
_WISH_REFUSALS: Final = (*_BODY_REFUSALS, 404, *_ONCE)
_FILTERS: Final = ("status", "kind", "worker", "owner", "label", "stalled", "q")


def _some(schema: Schema) -> Schema:
    return {"type": "array", "items": schema}


def _lines(name: str) -> Mapping[str, Schema]:
    return {NDJSON: {"type": "string", "description": f"One JSON object a line: {name}."}}


def _wish(action: str, summary: str, about: str = "") -> Operation:
    return Operation(
        tag="Control",
        name=f"{action}_job",
        summary=summary,
        about=about,
        takes=_WRITES,
        body=Body({JSON: ref("Asked")}, required=False, example={"reason": "wrong file", "by": "ann"}),
        answers={202: json_answer("It is in the log; the worker will see it.", "Accepted")},
        refusals=_WISH_REFUSALS,
    )


_NO_CONTENT: Final = {204: Answer("Done.")}

OPERATIONS: Final[Mapping[tuple[str, str], Operation]] = {
    ("POST", "/v1/events"): Operation(
        tag="Producers",
        name="append_events",
        summary="Append events",
        about="One event, an array, or one a line; or CloudEvents, structured, in a batch, or in binary mode "
        "with `ce-` headers. All are checked before any is written. An event's `seq` makes sending it again harmless.",
        takes=_WRITES,
        body=Body(
            {
                JSON: {"anyOf": [ref("Event"), _some(ref("Event"))]},
                NDJSON: {"type": "string", "description": "One event a line."},
                cloudevents.STRUCTURED: ref("CloudEvent"),
                cloudevents.BATCH: _some(ref("CloudEvent")),
            },
            example=_EVENT,
        ),
        answers={201: json_answer("All of them are in the log.", "AppendedEvents")},
        refusals=(*_BODY_REFUSALS, 404, *_ONCE),
    ),
    ("POST", "/v1/jobs"): Operation(
        tag="Producers",
        name="create_job",
        summary="Create a job",
        about="It is queued. The same again is 200; other content for the same id is 409.",
        takes=_WRITES,
        body=Body({JSON: ref("NewJob")}, example={"job_id": "import-42", "kind": "import", "title": "Import of April"}),
        answers={
            201: Answer("It was created.", {JSON: {"anyOf": [ref("Job"), ref("NotFoldedYet")]}}, ("Location",)),
            200: Answer("It was there, with the same content.", {JSON: {"anyOf": [ref("Job"), ref("NotFoldedYet")]}}),
        },
        refusals=(*_BODY_REFUSALS, 404, *_ONCE),
    ),
    ("GET", "/v1/jobs"): Operation(
        tag="Jobs",
        name="list_jobs",
        summary="List jobs",
        takes=(*_FILTERS, "sort", "counts", "limit", "cursor"),
        answers={
            200: Answer(
                "A page of them. `Link` tells where the next one is.",
                page("jobs", "Job", counts={"type": ["object", "null"], "additionalProperties": {"type": "integer"}}),
                ("Link",),
            )
        },
        refusals=(400,),
    ),
    ("GET", "/v1/jobs/{job}"): Operation(
        tag="Jobs",
        name="get_job",
        summary="A job as it is, or was",
        about="With `Prefer: wait` it is answered when the job changes, or comes to be.",
        takes=("at", "If-None-Match", "Prefer"),
        answers={200: json_answer("The job.", "Job", "ETag"), 304: Answer("The client has it.", {}, ("ETag",))},
        refusals=(400, 404, 410),
    ),
    ("GET", "/v1/jobs/{job}/units"): Operation(
        tag="Jobs",
        name="list_units",
        summary="The units of a job",
        about="In the order in which they joined.",
        takes=("limit", "cursor"),
        answers={200: Answer("A page of them.", page("units", "Unit"), ("Link",))},
        refusals=(400, 404),
    ),
    ("GET", "/v1/jobs/{job}/events"): Operation(
        tag="Jobs",
        name="list_events",
        summary="The history of a job",
        about="A page; or by `Accept` all of it: `application/x-ndjson` is one event a line, "
        "`application/cloudevents+json` one CloudEvent a line; `application/cloudevents-batch+json` a page of those.",
        takes=("after", "limit of events", "sort of events"),
        answers={
            200: Answer(
                "Events in the order of the log, or the newest first.",
                {
                    **page("events", "HistoryEvent"),
                    **_lines("HistoryEvent"),
                    cloudevents.BATCH: _some(ref("CloudEvent")),
                },
                ("Link",),
            )
        },
        refusals=(400, 404, 410),
    ),
    ("GET", "/v1/jobs/{job}/attempts"): Operation(
        tag="Jobs",
        name="list_attempts",
        summary="The attempts at a job",
        about="The oldest first; the newest 1,000 where there were more.",
        answers={200: json_answer("All of them.", "Attempts")},
        refusals=(404,),
    ),
    ("GET", "/v1/jobs/{job}/estimates"): Operation(
        tag="Jobs",
        name="list_estimates",
        summary="The way of a job, and what was estimated on it",
        about="Some moments from its creation to where it is, or with `at` was: half of them even in time, the others "
        "even in events. Each has the estimate as it was then, by the runs of its kind that had ended before.",
        takes=("at", "points", "If-None-Match"),
        answers={
            200: json_answer("The moments, the oldest first.", "Estimates", "ETag"),
            304: Answer("The client has it.", {}, ("ETag",)),
        },
        refusals=(400, 404, 410),
    ),
    ("GET", "/v1/jobs/{job}/stream"): Operation(
        tag="Live",
        name="stream_job",
        summary="A job, live",
        about="Server-sent events: `snapshot` (a Job) whenever it changes, the newest at a time; with `events=all` "
        "each `event` (a HistoryEvent) once. `reset`: the client's position is gone; `end`: the job is final. "
        "`/asyncapi.json` tells more.",
        takes=("events", "after", "Last-Event-ID"),
        answers={200: Answer("A stream.", _STREAM)},
        refusals=(400, 404),
    ),
    ("GET", "/v1/stream"): Operation(
        tag="Live",
        name="stream_jobs",
        summary="Many jobs, live",
        about="The same of many jobs on one connection: of up to 200 that are named, or of those that match a filter "
        "and haven't ended, as they come and go.",
        takes=("job", *_FILTERS, "events", "after", "Last-Event-ID"),
        answers={200: Answer("A stream.", _STREAM)},
        refusals=(400,),
    ),
    ("POST", "/v1/jobs/{job}/pause"): _wish("pause", "Ask a job to pause"),
    ("POST", "/v1/jobs/{job}/resume"): _wish("resume", "Ask a job to go on"),
    ("POST", "/v1/jobs/{job}/cancel"): _wish("cancel", "Ask a job to stop", "One in the queue is canceled at once."),
    ("POST", "/v1/jobs/{job}/retry"): _wish("retry", "Queue a job that has ended again", "As its next attempt."),
    ("POST", "/v1/claims"): Operation(
        tag="Workers",
        name="claim_job",
        summary="Claim the next job",
        about="By priority, then age. Any event of the worker about the job renews the lease.",
        takes=_WRITES,
        body=Body({JSON: ref("ClaimAsked")}, example={"worker": "w1", "kinds": ["import"], "lease_seconds": 60}),
        answers={200: json_answer("The job is the worker's.", "Claimed"), 204: Answer("There is none.")},
        refusals=(*_BODY_REFUSALS, *_ONCE),
    ),
    ("POST", "/v1/jobs/{job}/release"): Operation(
        tag="Workers",
        name="release_job",
        summary="Give a claimed job back",
        takes=_WRITES,
        body=Body({JSON: ref("ReleaseAsked")}, example={"worker": "w1", "reason": "shutting down"}),
        answers={202: json_answer("It is in the log.", "Accepted")},
        refusals=(*_BODY_REFUSALS, 404, *_ONCE),
    ),
    ("GET", "/v1/kinds"): Operation(
        tag="Kinds",
        name="list_kinds",
        summary="All kinds of jobs",
        takes=("limit", "cursor"),
        answers={200: Answer("A page of them, by name.", page("kinds", "Kind"), ("Link",))},
        refusals=(400,),
    ),
    ("GET", "/v1/kinds/{kind:path}"): Operation(
        tag="Kinds",
        name="get_kind",
        summary="A kind of jobs",
        about="With its stages, its latest runs, its waits in the queue, and how often estimates held.",
        answers={200: json_answer("The kind.", "KindDetails")},
        refusals=(404,),
    ),
    ("GET", "/v1/slow"): Operation(
        tag="Kinds",
        name="list_slow",
        summary="Jobs that take longer than is usual for their kind",
        about="The slowest for its kind first: those that have worked longer than nine in ten of its runs, and half as "
        "long again as a half of them, of at least five that finished. With how many there are, and how many are "
        "stalled.",
        takes=("limit",),
        answers={200: json_answer("The slowest, as of some seconds ago.", "SlowJobs")},
        refusals=(400,),
    ),
    ("GET", "/v1/log"): Operation(
        tag="Log",
        name="replay_log",
        summary="Replay the log",
        about="As it is now: one LoggedEvent a line, of one partition or of all in turn. With "
        "`Accept: application/cloudevents+json` the lines are CloudEvents, and what is no event is left out.",
        takes=("partition", "after"),
        answers={200: Answer("Lines.", _lines("LoggedEvent"))},
        refusals=(400,),
    ),
    ("GET", "/v1/system"): Operation(
        tag="Operation",
        name="get_system",
        summary="The server, how each partition stands, and what has to be mended",
        answers={200: json_answer("So it stands.", "System")},
    ),
    ("GET", "/v1/dead"): Operation(
        tag="Log",
        name="list_dead_letters",
        summary="What of the log could not be folded",
        about="With the reason of each: of all partitions the newest first, `next` being the next page's `cursor`; or "
        "of one `partition` the oldest first, `next` being the place to go on `after`.",
        takes=("partition", "after", "cursor", "limit"),
        answers={200: Answer("A page of them.", page("dead_letters", "DeadLetter"), ("Link",))},
        refusals=(400,),
    ),
    ("POST", "/v1/jobs/{job}/share"): Operation(
        tag="Identity",
        name="share_job",
        summary="A link by which anybody may read a job",
        body=Body({JSON: ref("ShareRequest")}, required=False, example={"expires_in": 3600}),
        answers={201: json_answer("The link.", "Link")},
        refusals=(*_BODY_REFUSALS, 404),
    ),
    ("POST", "/v1/tickets"): Operation(
        tag="Identity",
        name="create_ticket",
        summary="A ticket for one request",
        about="For what can't send a header: give it as `?ticket=` to an EventSource or a WebSocket.",
        answers={201: json_answer("The ticket.", "Ticket")},
    ),
    ("POST", "/v1/session"): Operation(
        tag="Identity",
        name="begin_session",
        summary="Keep who asks in a cookie",
        about="The cookie is HttpOnly: pages can't read it.",
        answers={204: Answer("The cookie is set.", {}, ("Set-Cookie",))},
    ),
    ("DELETE", "/v1/session"): Operation(
        tag="Identity", name="end_session", summary="Take the cookie back", answers=_NO_CONTENT
    ),
    ("GET", "/"): Operation(
        tag="Operation",
        name="get_dashboard",
        summary="The dashboard",
        answers={200: Answer("A page.", {"text/html": {"type": "string"}}, ("ETag",)), 304: Answer("It is as it was.")},
    ),
    ("GET", "/openapi.json"): Operation(
        tag="Operation",
        name="get_openapi",
        summary="This document",
        answers={200: Answer("OpenAPI 3.1.", {JSON: {"type": "object"}})},
    ),
    ("GET", "/asyncapi.json"): Operation(
        tag="Operation",
        name="get_asyncapi",
        summary="The messages of streams and of the log",
        answers={200: Answer("AsyncAPI 3.0.", {JSON: {"type": "object"}})},
    ),
    ("GET", "/docs"): Operation(
        tag="Operation",
        name="get_docs",
        summary="This document as a page",
        answers={200: Answer("A page.", {"text/html": {"type": "string"}})},
    ),
    ("GET", "/docs/style.css"): Operation(
        tag="Operation",
        name="get_docs_style",
        summary="The style of that page",
        answers={200: Answer("A style sheet.", {"text/css": {"type": "string"}})},
    ),
    ("GET", "/static/{file:path}"): Operation(
        tag="Operation",
        name="get_asset",
        summary="A file for pages",
        about="`streamproc.js` is a module for pages of any origin that follow jobs.",
        answers={
            200: Answer("The file.", {"text/javascript": {"type": "string"}, "*/*": {"type": "string"}}, ("ETag",)),
            304: Answer("The client has it.", {}, ("ETag",)),
        },
        refusals=(404,),
    ),
    ("GET", "/metrics"): Operation(
        tag="Operation",
        name="get_metrics",
        summary="Metrics for Prometheus",
        answers={200: Answer("In the text format, or as OpenMetrics.", _TEXT)},
    ),
    ("GET", "/livez"): Operation(
        tag="Operation",
        name="is_live",
        summary="Whether the process answers",
        answers={200: json_answer("It does.", "Live")},
    ),
    ("GET", "/readyz"): Operation(
        tag="Operation",
        name="is_ready",
        summary="Whether the gateway can serve",
        answers={200: json_answer("It can.", "Ready")},
        refusals=(503,),
    ),
}
"""By method and path. Order is that of the document."""
