"""The projector on a real server: exactly once, whatever happens."""

import json
from typing import Any

import pytest
from redis.asyncio import Redis

from streamproc.config import Config
from streamproc.connection import connect
from streamproc.keys import Keys
from streamproc.log import Log, open_namespace
from tests.support.folding import load_vectors
from tests.support.running import caught_up, projecting
from tests.support.servers import Server
from tests.test_vectors import assert_holds

pytestmark = pytest.mark.anyio


async def append(client: Redis, keys: Keys, events: list[dict[str, Any]]) -> list[str]:
    return await Log(client, keys).append((event["job"], json.dumps(event).encode()) for event in events)


@pytest.mark.parametrize("vector", load_vectors(), ids=lambda vector: vector["name"])
async def test_the_projector_gives_what_the_vector_expects(
    any_server: Server, namespace: str, vector: dict[str, Any]
) -> None:
    config = Config(redis=any_server.url, namespace=namespace, partitions=4)
    checks = {check["after"]: check["expect"] for check in vector.get("checks", [])}
    async with connect(config.redis) as client, projecting(config):
        keys = await open_namespace(client, namespace, 4)
        for number, event in enumerate(vector["events"], 1):
            await append(client, keys, [{"job": vector["job"]} | {k: v for k, v in event.items() if k != "t"}])
            if number in checks or number == len(vector["events"]):
                await caught_up(client, keys)
                snapshot = json.loads(await client.hget(keys.of(vector["job"]).state(vector["job"]), "snapshot"))
                assert_holds(snapshot, checks.get(number, vector["expect"]))
