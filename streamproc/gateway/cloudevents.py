"""CloudEvents 1.0, in and out: what their attributes are among the fields of an event.

::

    type          type, with or without the prefix ``streamproc.``; it goes out with it
    subject       job
    time          at
    traceparent   trace                     (the extension for distributed tracing)
    source        src, and
    sequence      seq, where there is one   (the extension for sequences; an `id` has no order to dedupe by)
    data          all other fields

What else there is, `id` and `source` too, is kept in the field ``cloudevent``, so that an event goes out under the
`source` and `id` under which it came. Data stays as it was written: numbers aren't read and written again.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote

import msgspec
from msgspec import Raw

from streamproc.errors import InvalidEvent
from streamproc.log import Entry
from streamproc.position import millis, rfc3339

__all__ = ["BATCH", "STRUCTURED", "attribute_error", "attributes_of", "cloud_event", "from_binary", "from_structured"]

STRUCTURED: Final = "application/cloudevents+json"
BATCH: Final = "application/cloudevents-batch+json"

_PREFIX: Final = "streamproc."
_HEADER: Final = "ce-"
_FIELDS: Final = {"type": "type", "subject": "job", "time": "at", "traceparent": "trace"}
_ATTRIBUTES: Final = {field: name for name, field in _FIELDS.items()} | {"src": "source", "seq": "sequence"}
_KEPT: Final = "cloudevent"
_NAME = re.compile(r"[a-z0-9]{1,100}")
_JSON = re.compile(r"(application|text)/([A-Za-z0-9.-]+\+)?json")
_BROKEN: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

Attributes = dict[str, str | int | bool]
_fields = msgspec.json.Decoder(dict[str, Raw])
_values = msgspec.json.Decoder(dict[str, str | int | bool | None])
_encode = msgspec.json.Encoder().encode


def attributes_of(headers: Mapping[str, str]) -> Attributes:
    """The attributes in the headers of a request in binary mode; empty where it isn't in that mode."""
    found: Attributes = {
        name[len(_HEADER) :]: unquote(value) for name, value in headers.items() if name.startswith(_HEADER)
    }
    if found and "content-type" in headers:
        found["datacontenttype"] = headers["content-type"]
    return found


def from_binary(attributes: Attributes, body: bytes) -> bytes:
    """The payload of an event in binary mode. Raises `InvalidEvent`."""
    return _payload(attributes, body)


def from_structured(body: bytes) -> bytes:
    """The payload of an event in structured mode. Raises `InvalidEvent`, naming the attribute."""
    try:
        members = _fields.decode(body)
        data = members.pop("data", None)
        encoded = members.pop("data_base64", None)
        attributes = _values.decode(_encode(members))
    except msgspec.ValidationError as error:
        raise InvalidEvent(f"is no CloudEvent in JSON: {error}") from None
    except _BROKEN as error:
        raise InvalidEvent(f"is not JSON in UTF-8: {error}") from None
    given = {name: value for name, value in attributes.items() if value is not None}
    if encoded is not None and bytes(encoded) != b"null":
        return _payload(given, _decoded(encoded))
    return _payload(given, b"" if data is None else bytes(data))


def _decoded(encoded: Raw) -> bytes:
    try:
        return base64.b64decode(msgspec.json.decode(encoded, type=str), validate=True)
    except (*_BROKEN, binascii.Error) as error:
        raise InvalidEvent(f"is not base64: {error}", "data_base64") from None


def _payload(attributes: Attributes, body: bytes) -> bytes:
    """An event of ours, of attributes and data that are not checked yet. It is checked as any other afterwards."""
    _check(attributes)
    data = _data(body)
    fields: dict[str, Any] = {field: attributes[name] for name, field in _FIELDS.items() if name in attributes}
    fields["type"] = str(fields["type"]).removeprefix(_PREFIX)
    kept = {name: value for name, value in attributes.items() if name not in _FIELDS and name != "specversion"}
    fields |= _numbered(attributes) or {}
    for name in fields.keys() & data.keys():
        if _value(data[name]) != fields[name]:
            raise InvalidEvent(f"is not what the attribute {_ATTRIBUTES[name]} says", f"data.{name}")
    return _encode(fields | {name: value for name, value in data.items() if name not in fields} | {_KEPT: kept})


def _numbered(attributes: Attributes) -> dict[str, Any] | None:
    """What an event is deduped by; None where there is no sequence of numbers."""
    sequence = str(attributes.get("sequence", ""))
    if not re.fullmatch(r"\d{1,16}", sequence, re.ASCII):
        return None
    return {"src": attributes["source"], "seq": int(sequence)}


def _check(attributes: Attributes) -> None:
    for name in attributes:
        if not _NAME.fullmatch(name):
            raise InvalidEvent("attributes are named with a-z and 0-9 only", name[:100])
    if attributes.get("specversion") != "1.0":
        raise InvalidEvent('must be "1.0"', "specversion")
    for name in ("id", "source", "type", "subject"):
        value = attributes.get(name)
        if not isinstance(value, str) or not value:
            why = "is the job, and" if name == "subject" else "is required, and"
            raise InvalidEvent(f"{why} must be a text that isn't empty", name)
    kind = str(attributes.get("datacontenttype", "application/json"))
    if not _JSON.fullmatch(kind.partition(";")[0].strip()):
        raise InvalidEvent("must be JSON", "datacontenttype")


def _data(body: bytes) -> dict[str, Raw]:
    if body.strip() in (b"", b"null"):
        return {}
    try:
        return _fields.decode(body)
    except _BROKEN as error:
        raise InvalidEvent(f"must be a JSON object: {error}", "data") from None


def _value(raw: Raw) -> Any:
    try:
        return msgspec.json.decode(raw)
    except _BROKEN as error:
        raise InvalidEvent(f"is not JSON: {error}", "data") from None


def attribute_error(error: InvalidEvent) -> InvalidEvent:
    """What is wrong with a field, said of the attribute that it came in."""
    if error.field is None:
        return error
    return InvalidEvent(error.reason, _ATTRIBUTES.get(error.field, f"data.{error.field}"))


def cloud_event(entry: Entry) -> bytes:
    """An entry of a history or of the log, which must be an event, in structured mode: one line of JSON.

    It has the extensions `position`, and `mark` where the event had no effect. Of an event that didn't come as a
    CloudEvent the `source` is the path of its job, and the `id` its position.
    """
    position, fields = entry[0].decode(), entry[1]
    data = _fields.decode(fields[1])
    job, kind = _text(data.pop("job")), _text(data.pop("type"))
    kept = _kept(data)
    attributes: dict[str, Any] = {
        "specversion": "1.0",
        "id": position,
        "source": f"/v1/jobs/{job}",
        "type": _PREFIX + kind,
        "subject": job,
        "time": rfc3339(millis(position)),
        "datacontenttype": "application/json",
    }
    attributes |= {name: value for name, value in kept.items() if name not in ("specversion", "type", "subject")}
    for field, name in (("at", "time"), ("trace", "traceparent")):
        value = data.pop(field, None)
        if value is not None and bytes(value) != b"null":
            attributes[name] = value
    if _numbered(kept) == {name: _value(data[name]) for name in ("src", "seq") if name in data}:
        del data["src"], data["seq"]
    attributes["position"] = position
    if len(fields) > 2:
        attributes["mark"] = fields[3].decode()
    return _encode(attributes | {"data": data}).replace(b"\r", b" ").replace(b"\n", b" ")


def _text(raw: Raw) -> str:
    return msgspec.json.decode(raw, type=str)


def _kept(data: dict[str, Raw]) -> Attributes:
    """What was kept of a CloudEvent's attributes; a field of that name that isn't ours stays where it is."""
    raw = data.get(_KEPT)
    if raw is None:
        return {}
    try:
        kept = msgspec.json.decode(raw, type=Attributes)
    except _BROKEN:
        return {}
    wanted = ("id", "source")
    if not all(isinstance(kept.get(name), str) for name in wanted) or not all(map(_NAME.fullmatch, kept)):
        return {}
    del data[_KEPT]
    return kept
