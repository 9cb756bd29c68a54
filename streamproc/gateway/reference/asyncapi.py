"""The AsyncAPI 3.0 document: what is sent and heard on streams, and in the log on the Redis server."""

from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Any, Final

from msgspec import Struct

from streamproc.events import DECISIONS, REQUIRED
from streamproc.gateway.reference.shapes import COMMANDS, JOB_ID, Schema, ref, schemas
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
    **_STREAMED,
    "unknown": ("Of these jobs nothing is known yet.", ref("Names")),
    "jobs": ("The jobs that match at first.", ref("Names")),
    "joined": ("Now this job matches too.", ref("Named")),
    "left": ("This job has ended, or matches no longer.", ref("Named")),
}
_TOLD: Final[Mapping[str, tuple[str, Schema]]] = {
    **_STREAMED,
    "joined": _OF_MANY["joined"],
    "left": _OF_MANY["left"],
    "subscribed": ("These jobs are followed.", ref("Done")),
    "unsubscribed": ("These are followed no longer.", ref("Done")),
    "pong": ("The answer to `ping`.", ref("Pong")),
    "error": ("What was asked for is refused.", ref("Refused")),
}
"""The frames of a WebSocket, by their `event`."""


_COMMANDS: Final = {command.__name__: command for command in COMMANDS}


def asyncapi(served: Sequence[type[Struct]]) -> dict[str, Any]:
    """The document. `served` are the types of what the folds wrote."""
    commands = {name: _message(name, _first_line(command), ref(name)) for name, command in _COMMANDS.items()}
    messages = {
        **{name: _message(name, *told) for name, told in _OF_MANY.items()},
        **{f"frame.{name}": _frame(name, *told) for name, told in _TOLD.items()},
        **commands,
        **{kind: _event(kind, about) for kind, about in VOCABULARY.items()},
    }
    frames = [f"frame.{name}" for name in _TOLD]
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
            "socket": {"host": "127.0.0.1:8700", "protocol": "ws", "description": "WebSockets, of JSON text frames."},
            "redis": {"host": "127.0.0.1:8701", "protocol": "redis", "description": "Redis Streams."},
        },
        "channels": {
            "job": _channel("/v1/jobs/{job}/stream", "gateway", "A job, live, as server-sent events.", _STREAMED),
            "jobs": _channel("/v1/stream", "gateway", "Many jobs on one connection.", _OF_MANY),
            "socket": _channel("/v1/ws", "socket", "The same over a WebSocket.", [*commands, *frames]),
            "log": _channel("{namespace}:{partition}:log", "redis", _LOG, VOCABULARY),
        },
        "operations": {
            "followJob": _operation("send", "job", "Follow a job."),
            "followJobs": _operation("send", "jobs", "Follow many."),
            "ask": _operation("receive", "socket", "Say what to follow.", commands),
            "tell": _operation("send", "socket", "Follow it.", frames),
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


def _operation(action: str, channel: str, summary: str, messages: Iterable[str] = ()) -> dict[str, Any]:
    found: dict[str, Any] = {"action": action, "channel": {"$ref": f"#/channels/{channel}"}, "summary": summary}
    some = [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in messages]
    return found | ({"messages": some} if some else {})


def _message(name: str, about: str, payload: Schema) -> dict[str, Any]:
    return {"name": name, "summary": about, "payload": payload}


def _frame(name: str, about: str, data: Schema) -> dict[str, Any]:
    text: Schema = {"type": ["string", "null"]}
    fields = {"event": {"const": name}, "job": text, "id": text, "data": data}
    return _message(name, about, {"type": "object", "properties": fields, "required": list(fields)})


def _first_line(command: type[Struct]) -> str:
    return (command.__doc__ or "").partition("\n")[0]


def _event(kind: str, about: str) -> dict[str, Any]:
    needed = [REQUIRED[kind]] if kind in REQUIRED else []
    # Event itself refuses the server's decisions, as the gateway does.
    event = ref("Event") if kind not in DECISIONS else {"type": "object", "properties": {"job": JOB_ID}}
    of_this_type = {"type": "object", "properties": {"type": {"const": kind}}, "required": ["job", "type", *needed]}
    return _message(kind, about, {"allOf": [event, of_this_type]})
