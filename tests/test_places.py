"""Tokens of streams of many jobs: whatever is sent in whatever order, who resumes gets the rest, once."""

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamproc.errors import InvalidPosition
from streamproc.gateway.places import Places
from streamproc.position import Token, key

JOBS = ("a", "b", "c", "d")
PARTITIONS = {"a": 0, "b": 0, "c": 1, "d": 1}
LIFE = "aa"


class Job:
    """A job with a history, and what a follower of it has been sent; as `Places` sees both."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.history: list[tuple[int, int]] = []
        self.known = 0
        self.sent = 0
        self.channel = cast(Any, self)
        self.watch = cast(Any, self)
        self.partition = PARTITIONS[name]
        self.incarnation = LIFE

    def look(self) -> "Job | None":
        return self if self.known else None

    @property
    def place(self) -> tuple[int, int] | None:
        return self.history[self.sent - 1] if self.sent else None

    @property
    def is_level(self) -> bool:
        return self.sent >= self.known


class World:
    """Jobs whose events are folded in the order of their partitions, heard of in any, and sent in any."""

    def __init__(self) -> None:
        self.jobs = {name: Job(name) for name in JOBS}
        self.clock = 1_763_750_000_000
        self.horizons: dict[int, Token] = {}
        self.places = self.new_places()

    def new_places(self) -> Places:
        return Places("\n".join(JOBS), JOBS, lambda: self.horizons)

    def fold(self, name: str, wait: int) -> None:
        self.clock += wait
        job = self.jobs[name]
        number = sum(place[0] == self.clock for each in self.jobs.values() for place in each.history)
        job.history.append((self.clock, number))

    def hear(self, name: str) -> None:
        self.jobs[name].known = len(self.jobs[name].history)

    def round(self) -> None:
        """All is read; what is folded after the cursors were read is known too, or not."""
        for partition in (0, 1):
            folded = [place for job in self.jobs.values() if job.partition == partition for place in job.history]
            if folded:
                self.horizons = self.horizons | {partition: Token(LIFE, "{}-{}".format(*max(folded)))}
        for name in JOBS:
            self.hear(name)

    def send(self, name: str) -> None:
        job = self.jobs[name]
        job.sent = min(job.sent + 1, max(job.known, job.sent))

    def token(self) -> str:
        token = self.places.token(cast(Any, self.jobs))
        assert token is not None
        return token

    def come_back(self, token: str) -> dict[str, tuple[int, int]]:
        """Where a client goes on with each job."""
        self.places = self.new_places()
        self.places.resume(token)
        starts = {name: self.places.start(name, job.partition) for name, job in self.jobs.items()}
        return {name: (0, 0) if start.token is None else key(start.token.position) for name, start in starts.items()}


names = st.sampled_from(JOBS)
steps = st.one_of(
    st.tuples(st.just("fold"), names, st.sampled_from((0, 1, 50, 4_000_000))),
    st.tuples(st.just("hear"), names),
    st.tuples(st.just("send"), names),
    st.tuples(st.just("round")),
    st.tuples(st.just("token")),
    st.tuples(st.just("come_back")),
)


@given(st.lists(steps, max_size=60))
def test_a_token_says_exactly_what_was_sent(script: list[tuple[Any, ...]]) -> None:
    world = World()
    for step, *arguments in script:
        if step == "token":
            world.token()
        elif step == "come_back":
            check(world)
        else:
            getattr(world, step)(*arguments)
    check(world)


def check(world: World) -> None:
    starts = world.come_back(world.token())
    for name, job in world.jobs.items():
        left = [place for place in job.history if place > starts[name]]
        assert left == job.history[job.sent :], "neither a gap nor a repeat"


@given(st.text(max_size=40))
def test_any_text_is_a_token_or_refused(text: str) -> None:
    try:
        World().places.resume(text)
    except InvalidPosition:
        return
    raise AssertionError(f"{text!r} passed")


def test_a_token_is_of_the_jobs_that_it_was_made_for() -> None:
    world = World()
    world.fold("a", 1)
    token = world.token()
    with pytest.raises(InvalidPosition, match="other jobs"):
        Places("a\nb", ("a", "b"), dict).resume(token)


def test_bases_of_another_life_or_beyond_the_cursor_start_over() -> None:
    world = World()
    world.fold("a", 1)
    world.fold("c", 1)
    world.round()
    world.send("a")
    world.send("c")
    token = world.token()
    for cursors, gone in (
        ({0: Token(LIFE, "1-1"), 1: world.horizons[1]}, {"a", "b"}),
        ({0: world.horizons[0], 1: Token("bb", "9999999999999-1")}, {"c", "d"}),
        (world.horizons, set[str]()),
    ):
        places = world.new_places()
        places.resume(token)
        places.check(cursors)
        starts = {name: places.start(name, PARTITIONS[name]) for name in JOBS}
        assert {name for name, start in starts.items() if start.reason == "past"} == gone
