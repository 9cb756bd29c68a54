"""The SDK over HTTP, whatever answers: what is refused, what is sent again, and what connecting says."""

import logging
import threading
from collections.abc import Iterator

import pytest

import streamproc
from streamproc import ConfigError, ServerUnavailable
from streamproc.errors import ServerError
from tests.support.producing import wait_until
from tests.support.servers import free_port
from tests.support.standin import Answer, Request, StandIn, stand_in

SECRET = "s3cret"  # noqa: S105  (nobody's)
LOGIN = "<html>Please log in</html>"


@pytest.fixture
def there() -> Iterator[StandIn]:
    with stand_in() as answering:
        yield answering


def units_taken(there: StandIn) -> list[str]:
    return [event["unit"] for event in there.taken if event["type"] == "unit.added"]


def first_answers(there: StandIn, *answers: Answer) -> None:
    """Answer the first posts so, and as a gateway from then on."""
    left = list(answers)
    there.answer = lambda request: left.pop(0) if left and request.method == "POST" else None


# The token ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["token", "environment", "not at all"])
def test_a_token_goes_with_every_request(there: StandIn, given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if given == "environment":
        monkeypatch.setenv("STREAMPROC_TOKEN", SECRET)
    with streamproc.connect(there.url, token=SECRET if given == "token" else None) as sp, sp.job("j") as job:
        assert job.requested is None
    paths = {request.path for request in there.requests}
    assert paths == {"/v1/jobs?limit=1", "/v1/events", "/v1/stream?job=j"}
    expected = None if given == "not at all" else f"Bearer {SECRET}"
    assert {request.token for request in there.requests} == {expected}


def test_a_token_that_no_header_can_hold_is_refused_and_not_told() -> None:
    with pytest.raises(ConfigError, match=r"^token: must be printable ASCII") as refused:
        streamproc.connect("http://127.0.0.1:1", token=f"{SECRET}\n")
    assert SECRET not in str(refused.value)


# Connecting --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (Answer(200, LOGIN), ServerError, "what answers at http://.* isn't a streamproc gateway"),
        (Answer(200, {"ok": True}), ServerError, "isn't a streamproc gateway"),
        (Answer(404, LOGIN), ServerError, r"refuses us \(404\): HTTP 404, and not from a streamproc gateway"),
        (Answer(302, ""), ServerError, r"\(302\)"),
        (
            Answer(401, {"title": "Unauthorized"}),
            ServerError,
            r"\(401\): Unauthorized; set token=",
        ),
        (Answer(403, {"detail": "not you", "status": "no"}), ServerError, r"\(403\): not you$"),
        (Answer(500, LOGIN), ServerError, "the gateway failed: HTTP 500"),
        (Answer(503, {"detail": "the server is gone"}), ServerUnavailable, "^nothing answers .*the server is gone"),
        (Answer(429, {"detail": "slowly"}), ServerUnavailable, "asks to wait: slowly"),
        (Answer(0), ServerUnavailable, "^nothing answers at .*: start it with `streamproc up`"),
    ],
)
def test_what_is_wrong_is_said_when_connecting(
    there: StandIn, answer: Answer, error: type[Exception], said: str
) -> None:
    there.answer = lambda request: answer
    with pytest.raises(error, match=said) as raised:
        streamproc.connect(there.url.replace("//", f"//ann:{SECRET}@"))
    assert type(raised.value) is error
    assert SECRET not in str(raised.value)


def test_connecting_to_nothing_says_what_to_do() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(ServerUnavailable, match=rf"^nothing answers at {url}: start it with `streamproc up`, or set"):
        streamproc.connect(url)


@pytest.mark.parametrize("url", ["http://", "http:///path", "http://host:port", "https://[::1"])
def test_a_url_that_cannot_work_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match=r"^url: "):
        streamproc.connect(url)


def test_a_gateway_may_be_below_a_path(there: StandIn) -> None:
    with streamproc.connect(f"{there.url}/progress/") as sp, sp.job("j"):
        pass
    assert {request.path for request in there.requests} == {"/progress/v1/jobs?limit=1", "/progress/v1/events"}


# Sending -----------------------------------------------------------------------------------------------------------


def test_events_that_are_named_as_wrong_are_left_out_and_the_others_arrive(
    there: StandIn, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(request: Request) -> Answer | None:
        errors = [
            {"index": at, "field": "unit", "detail": "is cursed"}
            for at, event in enumerate(request.lines)
            if event.get("unit") == "13"
        ]
        return Answer(400, {"detail": "no", "errors": errors}) if errors else None

    there.answer = refuse
    with streamproc.connect(there.url) as sp, sp.job("j") as job:
        for number in range(20):
            job.add_unit(str(number))
        assert sp.flush()
    assert units_taken(there) == [str(number) for number in range(20) if number != 13]
    assert [event["type"] for event in there.taken if event["type"].startswith("job.")] == [
        "job.started",
        "job.finished",
    ]
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert 'an event is refused and left out, unit: is cursed: b\'{"job":"j","type":"unit.added"' in record.message


@pytest.mark.parametrize(
    "errors",
    [["no"], "no", {"index": 0}, [{"index": "0"}], [{"index": 99, "field": None, "detail": "who knows"}], [{}], []],
)
def test_errors_that_name_no_event_of_ours_leave_nothing_out(
    there: StandIn, errors: object, caplog: pytest.LogCaptureFixture
) -> None:
    first_answers(there, Answer(400, {"errors": errors}))
    with streamproc.connect(there.url) as sp:
        sp.job("j").note("still here")
        assert sp.flush()
    assert [event["message"] for event in there.taken] == ["still here"]
    (record,) = caplog.records
    assert record.message.endswith("the work goes on, and its events are kept and sent again")


def test_what_is_too_much_at_once_is_sent_in_parts(there: StandIn) -> None:
    all_said = threading.Event()

    def refuse(request: Request) -> Answer | None:
        if request.method == "POST":
            all_said.wait(20)
        return Answer(413, LOGIN) if len(request.lines) > 3 else None

    there.answer = refuse
    with streamproc.connect(there.url) as sp:
        job = sp.job("j")
        for number in range(50):
            job.add_unit(str(number))
        all_said.set()
        assert sp.flush()
    assert units_taken(there) == [str(number) for number in range(50)]
    assert max(len(request.lines) for request in there.requests) > 3


@pytest.mark.parametrize(
    "answer",
    [
        Answer(429, {"detail": "slowly"}),
        Answer(503, {"detail": "loading"}),
        Answer(502, LOGIN),
        Answer(401, {"detail": "who are you"}),
        Answer(413, {"detail": "one event is too much"}),
        Answer(200, LOGIN),
        Answer(201, {"events": []}),
        Answer(302),
        Answer(0),
    ],
)
def test_what_is_not_taken_is_sent_again_unchanged(
    there: StandIn, answer: Answer, caplog: pytest.LogCaptureFixture
) -> None:
    first_answers(there, answer, answer)
    with caplog.at_level(logging.INFO, "streamproc"), streamproc.connect(there.url) as sp:
        sp.job("j").note("first")
        assert sp.flush()
        sp.job("j").note("second")
        assert sp.flush()
    posted = [request.lines for request in there.requests if request.method == "POST"]
    assert posted[0] == posted[1] == posted[2]
    assert [event["message"] for event in there.taken] == ["first", "second"]
    warning, again = (record for record in caplog.records if record.name == "streamproc")
    assert warning.levelno == logging.WARNING
    assert warning.message.endswith("the work goes on, and its events are kept and sent again")
    assert f"{there.url} takes events again" in again.message


def test_a_server_that_fails_in_the_middle_of_parts_gets_them_again(there: StandIn) -> None:
    failing = [3, 5]
    all_said = threading.Event()

    def refuse(request: Request) -> Answer | None:
        if request.method == "GET":
            return None
        all_said.wait(20)
        if len(request.lines) > 3:
            return Answer(413)
        return Answer(503) if failing and len(there.taken) >= failing[0] and failing.pop(0) else None

    there.answer = refuse
    with streamproc.connect(there.url) as sp:
        job = sp.job("j")
        for number in range(12):
            job.add_unit(str(number))
        all_said.set()
        assert sp.flush()
    newest, fresh = 0, []
    for event in there.taken:
        if event["seq"] > newest:
            newest = event["seq"]
            fresh.append(event["unit"])
    assert not failing
    assert fresh == [str(number) for number in range(12)]


def test_a_job_that_has_ended_is_not_followed_any_more(there: StandIn) -> None:
    def asked(job: str) -> int:
        return sum(f"job={job}" in request.path for request in there.requests)

    with streamproc.connect(there.url) as sp:
        ended, running = sp.job("ended").start(), sp.job("running").start()
        assert ended.requested is running.requested is None
        ended.finish()
        before, rounds = asked("ended"), asked("running")
        wait_until(lambda: asked("running") > rounds + 2)
        assert asked("ended") <= before + 1
