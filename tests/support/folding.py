"""Folding without a server: what the log should come to."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from redis.asyncio import Redis

from projections import ALL
from streamproc.folding import Batch, Cache
from streamproc.keys import Keys, PartitionKeys
from streamproc.position import key
from streamproc.store import Commit

__all__ = ["VECTORS", "MemoryStore", "load_vectors", "refolded", "stored", "vector_entries"]

VECTORS = Path(__file__).parent.parent / "vectors"


def load_vectors() -> list[dict[str, Any]]:
    found = [json.loads(path.read_text()) for path in sorted(VECTORS.glob("*.json"))]
    return [vector for vector in found if "events" in vector]


def vector_entries(vector: dict[str, Any]) -> list[tuple[bytes, list[bytes]]]:
    entries = []
    for number, event in enumerate(vector["events"]):
        fields = {"job": vector["job"]} | {name: value for name, value in event.items() if name != "t"}
        position = f"{1_763_750_000_000 + event['t']}-{number}"
        entries.append((position.encode(), [b"e", json.dumps(fields).encode()]))
    return entries


class MemoryStore:
    """What commits would have written, kept by key as the server would, without a server.

    Folding through it uses the projector's own steps: what isn't in the cache is loaded from here.
    """

    def __init__(self, partition: int = 0, partitions: int = 1, keys: PartitionKeys | None = None) -> None:
        self.keys = keys or Keys("sp", partitions).partitions[partition]
        self.partitions = partitions
        self.hashes: dict[str, dict[str, bytes]] = {}
        self.streams: dict[str, list[tuple[str, list[bytes]]]] = {}
        self.zsets: dict[str, dict[str, int]] = {}
        self.cache = Cache(ALL, 2**40)
        self.read = 0

    def fold(self, entries: Iterable[tuple[bytes, list[bytes]]]) -> None:
        batch = Batch(entries)
        touched, wanted = self.cache.enter(batch, self.keys.partition, self.partitions)
        for want in wanted:
            (state, fields), (units, names) = self.cache.hashes(want, self.keys)
            saved, saved_units = self.hashes.get(state, {}), self.hashes.get(units, {})
            self.cache.place(want, [saved.get(field) for field in fields], [saved_units.get(name) for name in names])
        self.cache.fold(batch, touched, carefully=False)
        self.read += batch.size
        commit = Commit(self.keys, "", "", batch.end, self.read)
        self.cache.save(batch, touched, commit)
        self._apply(commit.arguments())
        self.cache.keep(touched)
        self.cache.unpin(touched)

    def forget(self) -> None:
        """Lose all memory, as a projector that starts anew."""
        self.cache.drop(self.keys.partition)

    def snapshot(self, job: str) -> Any:
        return msgspec.json.decode(self.hashes[self.keys.state(job)]["snapshot"])

    def _apply(self, arguments: list[Any]) -> None:
        count = arguments[0]
        keys, args = arguments[1 : count + 1], arguments[count + 1 :]
        jobs, number, runs = args[7], args[8], args[9]
        job_keys = iter(keys[4:][: 2 * jobs])
        hashes, others = keys[4 + 2 * jobs :][:number], keys[4 + 2 * jobs + number :]
        streams, zsets = others[:runs], others[runs:]
        operations = iter(args[10:])
        for op in operations:
            match op:
                case "J" | "K":
                    fields, entries = next(operations), next(operations)
                    self._put(next(job_keys), operations, fields)
                    stream = self.streams.setdefault(next(job_keys), [])
                    for _ in range(entries):
                        stream.append((next(operations), [b"e", next(operations)]))
                case "M":
                    for _ in range(next(operations)):
                        mark, position, payload = next(operations), next(operations), next(operations)
                        stream.append((position, [b"e", payload, *([b"mark", mark.encode()] if mark else [])]))
                case "H":
                    target = hashes[next(operations) - 1]
                    self._put(target, operations, next(operations))
                case "Z":
                    zset = self.zsets.setdefault(zsets[next(operations) - 1], {})
                    score, member = next(operations), next(operations)
                    zset[member] = score
                case "R":
                    self.zsets.get(zsets[next(operations) - 1], {}).pop(next(operations), None)
                case "A":
                    kept = self.streams.setdefault(streams[next(operations) - 1], [])
                    most = next(operations)
                    position, run = next(operations), next(operations)
                    if not kept or key(kept[-1][0]) < key(position):  # a server takes no other
                        kept.append((position, [b"r", run]))
                    del kept[:-most]
                case "U":
                    self.hashes.pop(hashes[next(operations) - 1], None)
                case "V":
                    self.zsets.pop(zsets[next(operations) - 1], None)
                case "X":
                    number, position = next(operations), next(operations)
                    fields = [next(operations) for _ in range(2 * number)]
                    self.streams.setdefault(self.keys.dead, []).append(
                        (position, [value.encode() if isinstance(value, str) else value for value in fields])
                    )

    def _put(self, key: str, operations: Iterator[Any], fields: int) -> None:
        target = self.hashes.setdefault(key, {})
        for _ in range(fields):
            name, value = next(operations), next(operations)
            target[name] = value if isinstance(value, bytes) else str(value).encode()

    def contents(self) -> dict[str, Any]:
        """Everything, for comparing byte for byte; empty keys don't exist on a server either."""
        kept = {**self.hashes, **self.streams, **self.zsets}
        return {key: value for key, value in kept.items() if value}


async def refolded(client: Redis, keys: Keys) -> dict[str, Any]:
    """What a pure fold makes of the log, in batches of an odd size, with all memory lost between them."""
    contents: dict[str, Any] = {}
    for partition in keys.partitions:
        store = MemoryStore(partition.partition, len(keys.partitions), partition)
        entries = await client.xrange(partition.log)
        for at in range(0, len(entries), 777):
            store.fold(entries[at : at + 777])
            store.forget()
        contents |= store.contents()
        if entries:
            contents[partition.group] = entries[-1][0]
    return contents


async def stored(client: Redis, keys: Keys) -> dict[str, Any]:
    """All that projectors have written, in the shape of `refolded`."""
    contents: dict[str, Any] = {}
    for partition in keys.partitions:
        async for name in client.scan_iter(match=glob_escape(partition.prefix) + "*", count=1000):
            key = name.decode()
            match await client.type(key):
                case b"hash" if key == partition.group:
                    if (cursor := await client.hget(key, "cursor")) != b"0-0":
                        contents[key] = cursor
                case b"hash":
                    fields = await client.hgetall(key)
                    contents[key] = {field.decode(): value for field, value in fields.items()}
                case b"stream" if key != partition.log:
                    contents[key] = [(position.decode(), fields) for position, fields in await client.xrange(key)]
                case b"zset":
                    scores = await client.zrange(key, 0, -1, withscores=True)
                    contents[key] = {member.decode(): int(score) for member, score in scores}
    return contents


def glob_escape(text: str) -> str:
    return "".join(f"\\{character}" if character in "*?[]\\" else character for character in text)
