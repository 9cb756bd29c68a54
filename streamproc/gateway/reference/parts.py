"""What the operations of the document are made of: parameters, bodies, answers."""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from streamproc.filters import ORDERS, STATUSES
from streamproc.gateway.dialects.task_shapes import STATUSES as OF_TASKS
from streamproc.gateway.dialects.tasks import MOST_OFFSET
from streamproc.gateway.reference.shapes import JOB_ID, Schema, ref

__all__ = ["PARAMETERS", "Answer", "Body", "Operation", "json_answer", "page"]

JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"

Content = Mapping[str, Schema]
"""Schemas by media type."""


class Answer(Struct, frozen=True):
    """An answer that isn't a refusal: what it means, what is in it, and its headers of note."""

    meaning: str
    content: Content = {}
    headers: tuple[str, ...] = ()


class Body(Struct, frozen=True):
    """A request's body."""

    content: Content
    required: bool = True
    example: Any = None


class Operation(Struct, frozen=True, kw_only=True):
    """One method of one route, as the document tells of it.

    Args:
        tag: the group it is shown in.
        name: of the function that a client generator makes of it.
        summary: in a few words.
        about: in some sentences, in Markdown.
        takes: the parameters of its query and its headers, by their keys in `PARAMETERS`.
        body: of its request.
        answers: by status.
        refusals: the statuses of the problems that are its own; those of every route aren't named here.
        refused: the schema of what it tells of them, where that is in a shape of its own.
    """

    tag: str
    name: str
    summary: str
    about: str = ""
    takes: tuple[str, ...] = ()
    body: Body | None = None
    answers: Mapping[int, Answer]
    refusals: tuple[int, ...] = ()
    refused: str | None = None


def json_answer(meaning: str, name: str, *headers: str) -> Answer:
    """An answer of one schema."""
    return Answer(meaning, {JSON: ref(name)}, headers)


def page(items: str, of: str, **more: Schema) -> Content:
    """A page of a list."""
    fields = {items: {"type": "array", "items": ref(of)}, "next": {"type": ["string", "null"]}} | more
    return {JSON: {"title": f"{of}Page", "type": "object", "properties": fields, "required": [items, "next"]}}


def _query(name: str, about: str, schema: Schema, **more: Any) -> Schema:
    return {"name": name, "in": "query", "description": about, "schema": schema} | more


def _header(name: str, about: str, schema: Schema) -> Schema:
    return {"name": name, "in": "header", "description": about, "schema": schema}


def _whole(least: int, most: int, default: int) -> Schema:
    return {"type": "integer", "minimum": least, "maximum": most, "default": default}


_NAME: Final[Schema] = {"type": "string", "minLength": 1, "maxLength": 256}
_STATUS: Final[Schema] = {"type": "string", "enum": list(STATUSES)}
_PLACE: Final[Schema] = {"type": "string", "examples": ["1763750000000-3", "5f3a90c1.1763750000000-3"]}

PARAMETERS: Final[Mapping[str, Schema]] = {
    "limit": _query("limit", "How many a page has at most.", _whole(1, 500, 50)),
    "limit of events": _query("limit", "How many a page has at most.", _whole(1, 1000, 100)),
    "cursor": _query("cursor", "Where the page begins: `next` of the one before.", {"type": "string"}),
    "sort of events": _query(
        "sort",
        "With a minus the newest comes first, and `after` and `next` go on to what is older.",
        {"type": "string", "enum": ["position", "-position"], "default": "position"},
    ),
    "after": _query("after", "Only what comes after this position or resume token.", _PLACE),
    "offset": _query(
        "offset", "How many to pass over.", {"type": "integer", "minimum": 0, "maximum": MOST_OFFSET, "default": 0}
    ),
    "status of tasks": _query("status", "Tasks of this status.", {"type": "string", "enum": list(OF_TASKS)}),
    "type of tasks": _query("type", "Tasks of this type.", _NAME),
    "partition": _query("partition", "Only this partition.", {"type": "integer", "minimum": 0, "maximum": 4095}),
    "status": _query(
        "status", "Jobs of any of these.", {"type": "array", "items": _STATUS, "maxItems": 16}, explode=False
    ),
    "kind": _query("kind", "Jobs of any of these.", {"type": "array", "items": _NAME, "maxItems": 16}),
    "worker": _query("worker", "Jobs of this worker.", _NAME),
    "owner": _query("owner", "Jobs of this owner.", _NAME),
    "label": _query(
        "label",
        "Jobs with all of these, each as `name:value`.",
        {"type": "array", "items": {"type": "string", "pattern": "^[^:]+:"}, "maxItems": 16},
    ),
    "stalled": _query("stalled", "Only those that have fallen silent, or only the others.", {"type": "boolean"}),
    "q": _query("q", "Jobs whose title or id has words that begin with all of these.", _NAME),
    "sort": _query(
        "sort",
        "What they are sorted by; with a minus the latest come first. Jobs that have no such time are left out.",
        {"type": "string", "enum": list(ORDERS), "default": "-created"},
    ),
    "counts": _query("counts", "Whether `counts` tells how many there are of each status.", {"type": "boolean"}),
    "at": _query(
        "at",
        "The job as it was at this time or position.",
        {"type": "string", "examples": ["2026-11-21T18:33:20Z", "1763750000000-3"]},
    ),
    "points": _query("points", "How many moments at most.", _whole(2, 1000, 200)),
    "events": _query("events", "Every event, instead of the newest snapshot.", {"type": "string", "enum": ["all"]}),
    "job": _query(
        "job", "The jobs to follow, instead of a filter.", {"type": "array", "items": JOB_ID, "maxItems": 200}
    ),
    "If-None-Match": _header("If-None-Match", "The `ETag` that the client has.", {"type": "string"}),
    "Prefer": _header(
        "Prefer",
        "`wait=30` waits so many seconds for a change, 60 at most.",
        {"type": "string", "examples": ["wait=5"]},
    ),
    "Last-Event-ID": _header("Last-Event-ID", "The `id` of the last event that a client has had.", _PLACE),
    "Idempotency-Key": _header(
        "Idempotency-Key",
        "The same request again under the same key gets the same answer, for a day, and is done once.",
        {
            "type": "string",
            "pattern": '^"[!#-\\[\\]-~]{1,255}"$',
            "examples": ['"8e03978e-40d5-43dd-bc93-6894a57f9324"'],
        },
    ),
    "traceparent": _header(
        "traceparent",
        "W3C Trace Context: becomes `trace` of events that have none.",
        {"type": "string", "examples": ["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"]},
    ),
}
"""Of queries and headers, by the key that operations name."""
