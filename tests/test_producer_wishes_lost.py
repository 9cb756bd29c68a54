"""What is asked of jobs is learnt all the same where doorbells, connections or servers are lost."""

import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from anyio import to_thread

import streamproc
from streamproc import Producer, ServerUnavailable
from streamproc.store import Store
from streamproc.subscription import Subscription
from tests.support.producing import LogReader, wait_until
from tests.support.servers import Server
from tests.support.stack import Stack

ROUND = "streamproc.producer.listening._ROUND_SECONDS"


@pytest.fixture
def sp(stack: Stack) -> Iterator[Producer]:
    # Without heartbeats, each of which rings the doorbell too.
    with streamproc.connect(stack.redis, namespace=stack.namespace, heartbeat_interval=0) as connection:
        yield connection


@pytest.fixture
def no_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks now and then, or connects anew: a wish is heard, or seen when a connection is new."""
    monkeypatch.setattr(ROUND, 3600)
    monkeypatch.setattr("streamproc.subscription._SILENCE_SECONDS", 3600)


def listeners() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "streamproc-listener"]


def subscriptions(client: Any) -> int:
    return len(client.client_list(_type="pubsub"))


@pytest.mark.usefixtures("no_rounds")
def test_a_wish_that_was_rung_while_the_subscription_was_cut_is_learnt_all_the_same(
    stack: Stack, sp: Producer, job_id: str
) -> None:
    with sp.job(job_id) as job:
        assert job.requested is None
        for wish in ("pause", "cancel"):
            stack.log.client.client_kill_filter(_type="pubsub")
            stack.ask(job_id, wish)
            wait_until(lambda wish=wish: job.requested == wish)  # type: ignore[misc]


@pytest.mark.usefixtures("no_rounds")
def test_a_wish_that_comes_between_the_first_look_and_the_subscription_is_learnt(
    stack: Stack, sp: Producer, job_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscribe = Subscription.subscribe

    async def late(self: Subscription, channel: str) -> None:
        if channel.endswith(job_id):
            await to_thread.run_sync(stack.ask, job_id, "pause")
            await to_thread.run_sync(lambda: stack.wait_for(job_id, requested="pause"))
        await subscribe(self, channel)

    with sp.job(f"first-{job_id}") as first, sp.job(job_id) as job:
        assert first.requested is None
        wait_until(lambda: stack.log.client.pubsub_shardchannels(f"*:live:first-{job_id}"))
        monkeypatch.setattr(Subscription, "subscribe", late)
        assert job.requested is None
        wait_until(lambda: job.requested == "pause")


def test_a_doorbell_that_is_lost_is_made_up_for_by_looking_now_and_then(
    stack: Stack, sp: Producer, job_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hear: Callable[[Subscription, Any], None] = Subscription._hear

    def deaf(self: Subscription, message: Any) -> None:
        if message[0] != b"smessage":
            hear(self, message)

    monkeypatch.setattr(Subscription, "_hear", deaf)
    monkeypatch.setattr(ROUND, 0.05)
    with sp.job(job_id) as job:
        assert job.requested is None
        stack.ask(job_id, "pause")
        wait_until(lambda: job.requested == "pause")


def test_a_server_that_was_gone_is_asked_again(own_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ROUND, 0.05)
    monkeypatch.setattr("streamproc.producer.listening._RETRY_SECONDS", 0.05)
    with streamproc.connect(own_server.url) as sp:
        job = sp.job("j").start()
        assert job.requested is None
        own_server.stop()
        later = sp.job("later").start()
        assert later.requested is None  # and it says so within half a second
        own_server.start()
        with LogReader(own_server.url, "sp") as log:
            log.serve("j", {"requested": "cancel"})
            log.serve("later", {"requested": "pause"})
        wait_until(lambda: (job.requested, later.requested) == ("cancel", "pause"))


def test_a_connection_that_never_came_about_is_closed_at_once() -> None:
    with streamproc.connect("redis://127.0.0.1:1/0", required=False) as sp:
        job = sp.job("j")
        assert job.requested is None
        job.checkpoint()
        sp.close(0)
    assert not listeners()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_hears_by_itself(stack: Stack, sp: Producer, job_id: str) -> None:
    with sp.job(job_id) as job:
        assert job.requested is None
        child = os.fork()
        if child == 0:  # it leaves without what pytest does at the end
            try:
                wait_until(lambda: job.requested == "pause")
                os._exit(7)
            finally:
                os._exit(1)
        stack.ask(job_id, "pause")
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        wait_until(lambda: job.requested == "pause")


def test_a_look_that_began_before_a_doorbell_does_not_take_its_wish_back(
    stack: Stack, sp: Producer, job_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    looks = 0
    current = Store.current

    def subscribed() -> bool:
        return bool(stack.log.client.pubsub_shardchannels(f"*:live:{job_id}"))

    async def slowly(self: Store, jobs: list[str]) -> Any:
        nonlocal looks
        found = await current(self, jobs)
        looks += subscribed()
        if looks == 1:
            await to_thread.run_sync(stack.ask, job_id, "pause")
            await to_thread.run_sync(wait_until, lambda: told)
        return found

    monkeypatch.setattr(ROUND, 0.05)
    monkeypatch.setattr(Store, "current", slowly)
    with sp.job(job_id, on_request=told.append) as job:
        wait_until(lambda: told and looks > 2)
        assert job.requested == "pause"
    assert told == ["pause"]


def test_a_silent_subscription_is_pinged_and_kept(own_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ROUND, 0.05)
    with streamproc.connect(own_server.url) as sp, LogReader(own_server.url, "sp") as log:
        assert sp.job("j").start().requested is None
        wait_until(lambda: [client["cmd"] for client in log.client.client_list(_type="pubsub")] == ["ping"])


@pytest.mark.usefixtures("no_rounds")
@pytest.mark.parametrize("error", [ZeroDivisionError(), ServerUnavailable("gone")])
def test_a_look_that_fails_is_done_again_and_an_error_that_nobody_thought_of_is_logged(
    stack: Stack,
    sp: Producer,
    job_id: str,
    error: Exception,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    current = Store.current
    errors: list[Exception] = []

    async def fail(self: Store, jobs: list[str]) -> Any:
        if errors:
            raise errors.pop()
        return await current(self, jobs)

    monkeypatch.setattr("streamproc.producer.listening._RETRY_SECONDS", 0.05)
    monkeypatch.setattr(Store, "current", fail)
    stack.ask(job_id, "pause")
    stack.wait_for(job_id, requested="pause")
    with sp.job(f"first-{job_id}") as first, sp.job(job_id) as job:
        assert first.requested is None
        wait_until(lambda: stack.log.client.pubsub_shardchannels(f"*:live:first-{job_id}"))
        errors.append(error)
        wait_until(lambda: job.requested == "pause")
    assert [(record.message, bool(record.exc_info)) for record in caplog.records] == [
        ("what is asked of jobs isn't heard for a moment", True)
    ] * isinstance(error, ZeroDivisionError)
