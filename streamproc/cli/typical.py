"""How long the stages of a job take as a rule, by the runs of its kind."""

import logging
from collections.abc import Callable, Mapping

import anyio
import msgspec

from streamproc.client import Client
from streamproc.errors import StreamprocError

__all__ = ["Typical"]

_logger = logging.getLogger("streamproc")


class Typical:
    """What is usual of kinds; each is asked for when somebody wants to know, once.

    Args:
        told: called when there is an answer.
    """

    def __init__(self, client: Client, told: Callable[[], None]) -> None:
        self._client = client
        self._told = told
        self._known: dict[str, Mapping[str, float]] = {}
        self._wanted: list[str] = []
        self._asked = anyio.Event()

    def stages(self, kind: str | None) -> Mapping[str, float]:
        """The median seconds of each stage in the runs of a kind that finished; nothing before that is known."""
        if kind is None:
            return {}
        if kind not in self._known:
            self._known[kind] = {}
            self._wanted.append(kind)
            self._asked.set()
        return self._known[kind]

    async def run(self) -> None:
        """Ask, until cancelled."""
        while True:
            await self._asked.wait()
            self._asked = anyio.Event()
            wanted, self._wanted = self._wanted, []
            for kind in wanted:
                try:
                    found = msgspec.json.decode(await self._client.kind(kind))
                except StreamprocError as error:
                    _logger.debug("what is usual of kind %s isn't known: %s", kind, error)
                    continue
                told = {stage["name"]: stage["duration_seconds"] for stage in found["stages"]}
                self._known[kind] = {name: seconds["p50"] for name, seconds in told.items() if seconds is not None}
                self._told()
