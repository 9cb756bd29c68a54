"""What waits to be sent: what is replaced, what never is, and in which order it goes out. No server needed."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamproc.events import Event
from streamproc.producer.outbox import Outbox
from streamproc.producer.queue import BATCH_EVENTS, Queue

LATER = 3600.0


def make(*, interval: float = LATER, max_bytes: int = 2**30) -> Outbox:
    return Outbox(interval, max_bytes, lambda: True)


def take(outbox: Outbox) -> list[tuple[str, bytes]]:
    """What goes out now, without a wait for more."""
    outbox.goal()
    return outbox.take() or []


def sent(outbox: Outbox) -> list[dict[str, Any]]:
    """Everything that goes out now, as a sender would take it."""
    outbox.flush(0)
    found = []
    while batch := take(outbox):
        found += [msgspec.json.decode(payload) for _, payload in batch]
        outbox.confirm()
    return found


def progress(percent: float, message: str | None = None, job: str = "j") -> Event:
    return Event(job=job, type="job.progressed", percent=percent, message=message)


def test_a_later_report_replaces_the_one_that_still_waits() -> None:
    outbox = make()
    for percent in range(100):
        outbox.latest("job", progress(percent))
    assert [event["percent"] for event in sent(outbox)] == [99]


def test_the_first_report_goes_out_at_once_and_the_next_waits() -> None:
    outbox = make()
    outbox.latest("job", progress(1))
    first = list(take(outbox))
    outbox.confirm()
    outbox.latest("job", progress(2))
    assert [msgspec.json.decode(payload)["percent"] for _, payload in first] == [1]
    assert take(outbox) == []
    assert [event["percent"] for event in sent(outbox)] == [2]


def test_what_a_later_report_leaves_unsaid_is_kept() -> None:
    outbox = make()
    outbox.latest("job", progress(1, "reading"))
    outbox.latest("job", progress(2))
    assert [(event["percent"], event["message"]) for event in sent(outbox)] == [(2, "reading")]


def test_an_interval_of_zero_sends_every_report() -> None:
    outbox = make(interval=0)
    for percent in range(3):
        outbox.latest("job", progress(percent))
    assert [event["percent"] for event in sent(outbox)] == [0, 1, 2]


def test_the_last_report_goes_before_a_lifecycle_event_of_its_job() -> None:
    outbox = make()
    outbox.latest("job", progress(1))
    outbox.latest("stage", Event(job="j", type="stage.progressed", stage="s", percent=2))
    outbox.latest("job", progress(3))
    outbox.latest("job", progress(50, job="other"))
    outbox.keep(Event(job="j", type="job.failed"))
    assert [event["type"] for event in sent(outbox) if event["job"] == "j"] == [
        "stage.progressed",
        "job.progressed",
        "job.failed",
    ]


def test_a_batch_is_bounded_in_events_and_bytes() -> None:
    outbox = make()
    for _ in range(BATCH_EVENTS + 1):
        outbox.keep(Event(job="j", type="unit.finished", unit="u"))
    assert len(take(outbox)) == BATCH_EVENTS
    big = make()
    for _ in range(100):
        big.keep(Event(job="j", type="job.noted", details={"text": "x" * 50_000}))
    batch = take(big)
    assert batch is not None
    assert 1024 * 1024 <= sum(len(payload) for _, payload in batch) < 1024 * 1024 + 64 * 1024


def test_what_is_not_confirmed_is_taken_again_with_the_same_bytes() -> None:
    outbox = make()
    for number in range(3):
        outbox.keep(Event(job="j", type="unit.finished", unit=str(number)))
    before = list(take(outbox))
    outbox.keep(Event(job="j", type="job.finished"))
    after = list(take(outbox))
    assert after[:3] == before
    outbox.confirm([1])
    assert take(outbox) == [before[1]]


def test_progress_is_held_as_long_as_it_cannot_go_out() -> None:
    outbox = make()
    for _ in range(BATCH_EVENTS):
        outbox.keep(Event(job="j", type="unit.finished", unit="u"))
    for percent in range(5):
        assert len(take(outbox)) == BATCH_EVENTS
        outbox.latest("job", progress(percent))
    outbox.confirm()
    assert [event["percent"] for event in sent(outbox)] == [4]


def test_a_full_buffer_keeps_lifecycle_and_sums_counts_and_drops_progress() -> None:
    outbox = make(interval=0, max_bytes=10_000)
    for number in range(10_000):
        outbox.latest("job", progress(number))
        outbox.each("count", Event(job="j", type="job.counted", indicator="bytes", done=2, total=3))
        outbox.each("note", Event(job="j", type="job.noted", message=str(number)))
        if number % 1000 == 0:
            outbox.keep(Event(job="j", type="unit.finished", unit=str(number)))
    events = sent(outbox)
    assert len(events) < 100
    assert [event["unit"] for event in events if event["type"] == "unit.finished"] == [
        str(number) for number in range(0, 10_000, 1000)
    ]
    counted = [event for event in events if event["type"] == "job.counted"]
    assert (sum(event["done"] for event in counted), sum(event["total"] for event in counted)) == (20_000, 30_000)
    assert [event for event in events if event["type"] == "job.progressed"][-1]["percent"] == 9999
    assert [event for event in events if event["type"] == "job.noted"][-1]["message"] == "9999"


def test_room_comes_back_when_events_are_delivered() -> None:
    outbox = make(interval=0, max_bytes=10_000)
    for number in range(1000):
        outbox.latest("job", progress(number))
    sent(outbox)
    for number in range(5):
        outbox.latest("job", progress(number))
    assert [event["percent"] for event in sent(outbox)] == [0, 1, 2, 3, 4]


def test_nothing_overtakes_what_waits_on_disk_when_there_is_room_again() -> None:
    queue = Queue()
    for number, full in enumerate([False, True, False, False]):
        queue.put(Event(job="j", type="unit.finished", unit="u", done=number), full=full)
    queue.fill()
    assert [msgspec.json.decode(payload)["done"] for _, payload in queue.sending] == [0, 1, 2, 3]


def test_flush_says_how_many_events_are_not_delivered() -> None:
    outbox = make()
    outbox.keep(Event(job="j", type="job.started"))
    outbox.latest("job", progress(1))
    assert outbox.flush(0) == 2
    take(outbox)
    outbox.confirm()
    assert outbox.flush(0) == 0


def test_nobody_shares_a_source() -> None:
    outboxes = [make(), make(), make()]
    outboxes.append(outboxes[0])
    sources = []
    for outbox in outboxes:
        outbox.keep(Event(job="j", type="job.started"))
        sources += [event["src"] for event in sent(outbox)]
        outbox.reset()
    assert len(set(sources)) == 4


@pytest.mark.parametrize("max_bytes", [2**30, 2_000])
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b"]),
            st.sampled_from(["keep", "count", "stage", "job", "take", "lose"]),
        ),
        max_size=60,
    )
)
def test_whatever_is_said_nothing_is_lost_and_order_is_kept(max_bytes: int, said: list[tuple[str, str]]) -> None:
    outbox = make(interval=0.0 if len(said) % 2 else LATER, max_bytes=max_bytes)
    log: list[dict[str, Any]] = []

    def deliver() -> None:
        log.extend(msgspec.json.decode(payload) for _, payload in take(outbox))

    for number, (job, what) in enumerate(said):
        match what:
            case "keep":
                outbox.keep(Event(job=job, type="unit.finished", unit="u", done=number))
            case "count":
                outbox.each("count", Event(job=job, type="job.counted", indicator="i", done=1, total=number))
            case "stage" | "job":
                outbox.latest(what, Event(job=job, type=f"{what}.progressed", stage="s", percent=number))
            case "take":
                deliver()
                outbox.confirm()
            case "lose":
                deliver()  # it is in the log, but the sender never learns, and sends it again
    outbox.flush(0)
    while take(outbox):
        deliver()
        outbox.confirm()

    newest = 0
    fresh = []
    for event in log:
        if event["seq"] > newest:
            newest = event["seq"]
            fresh.append(event)
    for job in "ab":
        mine = [event for event in fresh if event["job"] == job]
        kept = [number for number, (whose, what) in enumerate(said) if (whose, what) == (job, "keep")]
        assert [event["done"] for event in mine if event["type"] == "unit.finished"] == kept
        counts = [number for number, (whose, what) in enumerate(said) if (whose, what) == (job, "count")]
        assert sum(event["done"] for event in mine if event["type"] == "job.counted") == len(counts)
        assert sum(event["total"] for event in mine if event["type"] == "job.counted") == sum(counts)
        order = [event.get("percent", event["done"] if event["type"] == "unit.finished" else None) for event in mine]
        numbers = [number for number in order if number is not None]
        assert numbers == sorted(numbers)
