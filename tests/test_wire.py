"""The wire format: what is an event, what isn't, and which field says so."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamproc.errors import InvalidEvent
from streamproc.events import DECISIONS
from streamproc.wire import MAX_EVENT_BYTES, decode, partition_of
from tests.support.folding import VECTORS

REFUSED = json.loads((VECTORS / "refused.json").read_text())
FIELDS = {
    "no_job": "job", "no_type": "type", "empty_job": "job", "job_with_space": "job", "job_with_newline": "job",
    "job_with_brace": "job", "job_too_long": "job", "job_is_number": "job", "infinite": "percent",
    "percent_is_text": "percent", "negative_done": "done", "attempt_zero": "attempt", "seq_negative": "seq",
    "stage_with_nul": "stage", "stage_too_long": "stage", "stage_missing": "stage", "negative_weight": "weight",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(set(REFUSED["bodies"]) - {"server_only"}))
def test_what_the_vectors_refuse_is_refused_with_the_field_named(name: str) -> None:
    with pytest.raises(InvalidEvent) as raised:
        decode(REFUSED["bodies"][name].encode("utf-8", "surrogatepass"))
    assert raised.value.field == FIELDS.get(name)


def test_the_vector_of_a_decision_is_a_decision() -> None:
    assert decode(REFUSED["bodies"]["server_only"].encode()).type in DECISIONS


def payload(**fields: Any) -> bytes:
    return json.dumps({"job": "a", "type": "job.noted"} | fields).encode()


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"done": 10**400}, "done"),
        ({"done": 2**53}, "done"),
        ({"details": {"n": 10**400}}, "details"),
        ({"details": [1]}, "details"),
        ({"result": [10**400]}, "result"),
        ({"message": "x" * 1001}, "message"),
        ({"kind": "a\rb"}, "kind"),
        ({"title": "a\nb"}, "title"),
        ({"worker": "a\x00b"}, "worker"),
        ({"unit": "a\x7fb"}, "unit"),
        ({"indicator": "a\x85b"}, "indicator"),
        ({"owner": "a\tb"}, "owner"),
        ({"labels": {"a\nb": "c"}}, "labels"),
        ({"labels": {"a": "b\nc"}}, "labels"),
        ({"labels": {"a": 1}}, "labels[...]"),
        ({"stages": [{"name": "a\nb"}]}, "stages[...].name"),
        ({"stages": [{"name": "a", "weight": -1}]}, "stages[0].weight"),
        ({"at": "yesterday"}, "at"),
        ({"at": "2026-01-01T00:00:00"}, "at"),
        ({"error": {"detail": "no type"}}, "error"),
        ({"seq": 3}, "src"),
        ({"seq": 1.5, "src": "s"}, "seq"),
        ({"lease_seconds": 0}, "lease_seconds"),
        ({"type": "job.counted"}, "indicator"),
        ({"type": "unit.started"}, "unit"),
    ],
)
def test_a_wrong_value_is_refused_with_its_field(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidEvent) as raised:
        decode(payload(**fields))
    assert (raised.value.field or "").startswith(field.split("[")[0])


def test_an_event_of_more_than_64_kib_is_refused() -> None:
    room = MAX_EVENT_BYTES - len(payload(colour=""))
    assert decode(payload(colour="x" * room)).job == "a"
    with pytest.raises(InvalidEvent, match="65,537 bytes"):
        decode(payload(colour="x" * (room + 1)))


def test_depth_is_counted_and_brackets_in_text_are_not() -> None:
    assert decode(payload(details={"text": "[{" * 100, "escaped": '"[' * 50})).details is not None
    deep: Any = 1
    for _ in range(30):
        deep = [deep]
    assert decode(payload(details={"deep": deep})).job == "a"
    with pytest.raises(InvalidEvent, match="deeper than 32"):
        decode(payload(details={"deep": [[deep]]}))
    with pytest.raises(InvalidEvent, match="deeper than 32"):
        decode(payload(unknown=[[[deep]]]))


def test_depth_of_ten_thousand_is_refused_and_not_a_crash() -> None:
    with pytest.raises(InvalidEvent, match="deeper than 32"):
        decode(b'{"job":"a","type":"b","x":' + b"[" * 10_000 + b"]" * 10_000 + b"}")


def test_unknown_types_and_fields_are_tolerated() -> None:
    event = decode(payload(type="job.teleported", where="moon", nested={"a": [1, None, "b"]}))
    assert event.type == "job.teleported"


def test_names_in_any_script_are_names() -> None:
    event = decode(payload(stage="解析 📦", unit="übung.pdf", kind="عربي"))
    assert (event.stage, event.unit, event.kind) == ("解析 📦", "übung.pdf", "عربي")


@given(st.binary(max_size=200))
def test_no_bytes_crash_the_decoder(data: bytes) -> None:
    with suppress(InvalidEvent):
        decode(data)


@given(st.text(alphabet="abcXYZ019._:@-", min_size=1, max_size=200), st.integers(1, 4096))
def test_every_job_has_one_partition_in_range(job: str, partitions: int) -> None:
    assert 0 <= partition_of(job, partitions) < partitions
