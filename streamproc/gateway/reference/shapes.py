"""What the gateway itself puts around what the folds wrote, as types for its documents."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal, get_args, get_type_hints

import msgspec
from msgspec import UNSET, Struct, UnsetType

from streamproc.dead import DeadLetter
from streamproc.events import DECISIONS, Error, Event, Mark, StageDeclaration
from streamproc.findings import Finding
from streamproc.gateway.claims import ClaimAsked, ReleaseAsked
from streamproc.gateway.control import Asked
from streamproc.gateway.identity.routes import Link, ShareRequest, Ticket
from streamproc.gateway.reference import dialect_shapes
from streamproc.gateway.sockets import Ping, RequestId, Resume, Subscribe, Unsubscribe
from streamproc.inspection import PartitionReport, ServerReport

__all__ = ["COMMANDS", "JOB_ID", "Schema", "ref", "schemas"]

Schema = dict[str, Any]

JOB_ID: Schema = {"type": "string", "pattern": "^[A-Za-z0-9._:@-]{1,200}$", "examples": ["import-42"]}
"""A pattern isn't in the type of events, as checking it there would slow their decoding down."""


class Problem(Struct):
    """What is wrong (RFC 9457). Members that only some problems have come with it."""

    type: str
    title: str
    status: int
    detail: str
    errors: list["BadEvent"] | UnsetType = UNSET


class BadEvent(Struct):
    """An event that was refused: where it stands in the request, from 0, and its field."""

    index: int
    field: str | None
    detail: str


class Appended(Struct):
    """Where an event is in the log."""

    job: str
    position: str
    partition: int


class AppendedEvents(Struct):
    """Where the events of a request are in the log, in their order."""

    events: list[Appended]


class Accepted(Struct):
    """What was asked for is in the log. A retry tells which attempt it will be."""

    job: str
    position: str
    partition: int
    attempt: int | UnsetType = UNSET


class HistoryEvent(Struct):
    """An event as it was recorded. `mark` says why it had no effect."""

    position: str
    time: str
    mark: Mark | None
    event: dict[str, Any]


class Attempt(Struct):
    """An attempt at a job. One without `status` goes on, or was given up without a word."""

    attempt: int
    worker: str | None
    started_at: str | None
    finished_at: str | None
    status: Literal["finished", "failed", "canceled"] | None
    error: Error | None


class Attempts(Struct):
    """The attempts at a job, the oldest first."""

    attempts: list[Attempt]


class LoggedEvent(Struct):
    """An entry of the log. One that is no JSON is shown as text, in `raw`."""

    partition: int
    position: str
    time: str
    event: dict[str, Any] | None
    raw: str | UnsetType = UNSET


class ActiveJobs(Struct):
    """The jobs of a kind that haven't ended, by status, and the average percent of those that have begun."""

    kind: str
    active: dict[str, int]
    average_percent: float | None
    average_of: int


class NotFoldedYet(Struct):
    """A job that was created, and isn't served yet."""

    job_id: str
    position: str | None


class CloudEvent(Struct):
    """A CloudEvent 1.0 in JSON. `subject` is the job, `data` holds the fields of the event."""

    specversion: Literal["1.0"]
    id: str
    source: str
    type: str
    subject: str
    time: str | UnsetType = UNSET
    datacontenttype: str | UnsetType = UNSET
    sequence: str | UnsetType = UNSET
    traceparent: str | UnsetType = UNSET
    data: dict[str, Any] | UnsetType | None = UNSET


class Reset(Struct):
    """Why a client can't go on from its position; what follows begins anew."""

    job: str
    reason: str
    detail: str


class End(Struct):
    """The job is final, up to this position."""

    job: str
    position: str


class Closed(Struct):
    """Why the gateway ends a stream: `end`, `slow`, `expired`."""

    reason: str


class Names(Struct):
    """Some jobs."""

    jobs: list[str]


class Named(Struct):
    """A job."""

    job: str


class Done(Struct):
    """What a client asked for over its WebSocket is done, for these jobs. `request` is what it called it."""

    request: RequestId
    jobs: list[str]


class Pong(Struct):
    """A sign of life."""

    request: RequestId


class Refused(Problem):
    """What a client asked for over its WebSocket is refused."""

    request: RequestId = None


class Live(Struct):
    """The process answers."""

    live: bool


class Ready(Struct):
    """The gateway can serve, and how many of the partitions have an owner."""

    ready: bool
    partitions: int
    owned: int


class System(Struct):
    """How the system stands, and what about it has to be mended."""

    server: ServerReport
    partitions: list[PartitionReport]
    findings: list[Finding]


COMMANDS = (Subscribe, Resume, Unsubscribe, Ping)
"""What clients say over a WebSocket."""
_ASKED = (
    Event, Error, StageDeclaration, Asked, ClaimAsked, ReleaseAsked, ShareRequest, CloudEvent, *COMMANDS,
    *dialect_shapes.ASKED,
)  # fmt: skip
"""What clients send: what has a default may be left out."""
_TOLD = (
    Problem, BadEvent, Appended, AppendedEvents, Accepted, HistoryEvent, LoggedEvent, Attempts, ActiveJobs,
    NotFoldedYet, Reset, End, Closed, Names, Named, Done, Pong, Refused, Live, Ready, System, DeadLetter, Link, Ticket,
    *dialect_shapes.TOLD,
)  # fmt: skip


def ref(name: str) -> Schema:
    """A reference to one of the schemas."""
    return {"$ref": f"#/components/schemas/{name}"}


def schemas(served: Sequence[type[Struct]]) -> dict[str, Schema]:
    """All schemas by name.

    Args:
        served: the types of what the folds wrote.
    """
    told: tuple[type[Struct], ...] = (*_TOLD, *served)
    found = _components(told)
    for kind in _structs(told):
        found[kind.__name__]["required"] = _always_there(kind)
    found |= _components(_ASKED)
    event = found["Event"]
    found["NewJob"] = _new_job(event)
    event["properties"]["job"] = JOB_ID
    event["properties"]["type"]["not"] = {"enum": sorted(DECISIONS)}
    found["Claimed"] = _claimed()
    found["Estimates"] = _estimates()
    found["SlowJobs"] = _slow_jobs()
    found["Kind"] = {"allOf": [ref("ActiveJobs"), ref("Summary")]}
    found["KindDetails"] = {"allOf": [ref("ActiveJobs"), ref("Details")]}
    return dict(sorted(found.items()))


def _components(types: Sequence[type[Struct]]) -> dict[str, Schema]:
    _, found = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    for schema in found.values():
        schema["description"] = " ".join(schema.get("description", "").partition("\n\n")[0].split())
        for each in schema.get("properties", {}).values():
            each.pop("default", None)
    return found


def _structs(types: Iterable[Any]) -> set[type[Struct]]:
    """The structs among some types, and all that they are made of."""
    found: set[type[Struct]] = set()
    for each in types:
        if isinstance(each, type) and issubclass(each, Struct):
            found |= {each} | _structs(get_type_hints(each).values())
        else:
            found |= _structs(get_args(each))
    return found


def _always_there(kind: type[Struct]) -> list[str]:
    """The fields that are never left out of its JSON."""
    leaves_out = kind.__struct_config__.omit_defaults
    return [
        field.encode_name
        for field in msgspec.structs.fields(kind)
        if field.required or not (leaves_out or field.default is UNSET)
    ]


def _new_job(event: Schema) -> Schema:
    """What a job is created with: an event, but for its type, by another name of the job."""
    fields = {name: schema for name, schema in event["properties"].items() if name not in ("job", "type")}
    return {
        "title": "NewJob",
        "description": "A job to create. Without a job_id it gets one. Any field of an event may be given.",
        "type": "object",
        "properties": {"job_id": JOB_ID, **fields},
    }


def _claimed() -> Schema:
    """A job that was claimed: it holds what the folds wrote, so it isn't a type of its own."""
    fields: dict[str, Schema] = {
        "job": ref("Job"),
        "params": {"description": "What it was created with."},
        "worker": {"type": "string"},
        "attempt": {"type": "integer"},
        "lease_seconds": {"type": "number"},
        "expires_at": {"type": "string", "format": "date-time"},
    }
    return {"title": "Claimed", "type": "object", "properties": fields, "required": list(fields)}


def _estimates() -> Schema:
    """The way of a job, likewise."""
    moments = {"type": "array", "items": ref("Moment")}
    return {"title": "Estimates", "type": "object", "properties": {"estimates": moments}, "required": ["estimates"]}


def _slow_jobs() -> Schema:
    """Slow jobs: each a job and how slow it is."""
    job = {"type": "object", "properties": {"job": ref("Job")}, "required": ["job"]}
    count = {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "null"}]}
    fields = {
        "jobs": {"type": "array", "items": {"allOf": [ref("Slow"), job]}},
        "next": {"type": "null"},
        "slow": {**count, "description": "How many are slow; null for who is limited to some owners or jobs."},
        "stalled": {**count, "description": "How many are stalled; likewise."},
        "complete": {"type": "boolean", "description": "Whether all were looked at that could be slow."},
    }
    return {"title": "SlowJobs", "type": "object", "properties": fields, "required": list(fields)}
