"""The AsyncAPI 3.0 document: what is sent and heard on streams, and in the log on the Redis server."""

from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Any, Final

from msgspec import Struct

from streamproc.events import DECISIONS, REQUIRED
from streamproc.gateway.reference.shapes import JOB_ID, Schema, ref, schemas
from streamproc.gateway.reference.vocabulary import VOCABULARY

__all__ = ["asyncapi"]

_STREAMED: Final[Mapping[str, tuple[str, Schema]]] = {
    "snapshot": ("The job as it is now. Its `id` is the token to go on after.", ref("Job")),
    "event": ("One event of the job's history; only with `events=all`.", ref("HistoryEvent")),
    "reset": ("The client's position is gone; what follows begins anew.", ref("Reset")),
    "end": ("The job is final: nothing more will come of it.", ref("End")),
    "closed": ("The gateway ends the stream. Go on after its `id`.", ref("Closed")),
}
"""The messages of live streams, by the names of the server-sent events."""
_OF_MANY: Final[Mapping[str, tuple[str, Schema]]] = {
    "unknown": ("Of these jobs nothing is known yet.", ref("Names")),
}


def asyncapi(served: Sequence[type[Struct]]) -> dict[str, Any]:
    """The document. `served` are the types of what the folds wrote."""
    messages = {
        **{name: _message(name, *told) for name, told in (*_STREAMED.items(), *_OF_MANY.items())},
        **{kind: _event(kind, about) for kind, about in VOCABULARY.items()},
    }
    channels = {
        "job": _channel("/v1/jobs/{job}/stream", "gateway", "A job, live, as server-sent events.", _STREAMED),
        "jobs": _channel("/v1/stream", "gateway", "Many jobs on one connection.", (*_STREAMED, *_OF_MANY)),
        "log": _channel("{namespace}:{partition}:log", "redis", _LOG, VOCABULARY),
    }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "streamproc",
            "version": version("streamproc"),
            "description": "Live streams of progress, and the log that they come from.",
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "gateway": {"host": "127.0.0.1:8700", "protocol": "http", "description": "Server-sent events."},
            "redis": {"host": "127.0.0.1:8701", "protocol": "redis", "description": "Redis Streams."},
        },
        "channels": channels,
        "operations": {
            "followJob": _operation("send", "job", "Follow a job."),
            "followJobs": _operation("send", "jobs", "Follow many."),
            "append": _operation("receive", "log", "Report progress, in any language."),
        },
        "components": {"messages": messages, "schemas": schemas(served)},
    }


_LOG: Final = (
    "The log: one stream a partition. The partition of a job is the CRC-32 (zlib) of its id, modulo the number that "
    "`HGET {namespace}:meta partitions` tells. An event is appended by `XADD` with the id `*`, as JSON in a field `e`."
)
_PARAMETERS: Final[Mapping[str, dict[str, Any]]] = {
    "job": {"description": "The job's id.", "examples": ["import-42"]},
    "namespace": {"description": "What all keys begin with.", "default": "sp"},
    "partition": {"description": "Its number in braces, which keep it in one slot of a cluster.", "examples": ["{15}"]},
}


def _channel(address: str, server: str, about: str, messages: Iterable[str]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "address": address,
        "description": about,
        "servers": [{"$ref": f"#/servers/{server}"}],
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
    }
    named = {name: about for name, about in _PARAMETERS.items() if f"{{{name}}}" in address}
    return found | ({"parameters": named} if named else {})


def _operation(action: str, channel: str, summary: str) -> dict[str, Any]:
    return {"action": action, "channel": {"$ref": f"#/channels/{channel}"}, "summary": summary}


def _message(name: str, about: str, payload: Schema) -> dict[str, Any]:
    return {"name": name, "summary": about, "payload": payload}


def _event(kind: str, about: str) -> dict[str, Any]:
    needed = [REQUIRED[kind]] if kind in REQUIRED else []
    # Event itself refuses the server's decisions, as the gateway does.
    event = ref("Event") if kind not in DECISIONS else {"type": "object", "properties": {"job": JOB_ID}}
    of_this_type = {"type": "object", "properties": {"type": {"const": kind}}, "required": ["job", "type", *needed]}
    return _message(kind, about, {"allOf": [event, of_this_type]})
