"""The names of every key and channel. Everything of a partition is in one cluster slot, by its hash tag.

A job's keys end in a word without a colon, so that no job id, colons and all, can name another job's key.
"""

from functools import lru_cache

from streamproc.wire import partition_of

__all__ = ["Keys", "PartitionKeys"]


class PartitionKeys:
    """The keys of one partition.

    Args:
        log: the stream of events.
        owner: who may commit: ``epoch:token``, expiring with the lease.
        group: hash of the projection group: `cursor`, `read` (how many events it has folded), `epoch`,
            `incarnation`.
        dead: the stream of dead letters, under the positions that they had in the log.
        kinds: sorted set: the kinds of the jobs here, by when a job was last named to be of one, or ended.
        words: sorted set, all of one score: each word that a job is found by, with the job's id (`word`).
    """

    __slots__ = ("dead", "group", "job_prefix", "kinds", "live_prefix", "log", "owner", "partition", "prefix", "words")

    def __init__(self, namespace: str, partition: int) -> None:
        prefix = f"{namespace}:{{{partition}}}:"
        self.partition = partition
        self.prefix = prefix
        self.log = prefix + "log"
        self.owner = prefix + "owner"
        self.group = prefix + "group"
        self.dead = prefix + "dead"
        self.kinds = prefix + "kinds"
        self.words = prefix + "words"
        self.live_prefix = prefix + "live:"
        self.job_prefix = prefix + "job:"

    def index(self, name: str) -> str:
        """A sorted set of job ids, most by creation time: all of them (`""`), or those of `streamproc.indexes`."""
        return f"{self.prefix}jobs:{name}" if name else f"{self.prefix}jobs"

    def queue(self, name: str) -> str:
        """A sorted set of `streamproc.queues`."""
        return self.prefix + name

    @staticmethod
    def word(word: str, job: str) -> str:
        """A member of `words`: those of a word, or of how it begins, stand side by side."""
        return f"{word}\0{job}"

    def runs(self, kind: str) -> str:
        """Stream: the latest runs of a kind that ended in this partition, under the positions of their ends."""
        return f"{self.prefix}kind:{kind}:runs"

    def state(self, job: str) -> str:
        """Hash: the served `snapshot`, what the projections keep beside it, and ``src:…``: the newest `seq` of each."""
        return f"{self.job_prefix}{job}:state"

    def events(self, job: str) -> str:
        """Stream: the job's history, under the positions of the log."""
        return f"{self.job_prefix}{job}:events"

    def state_and_events(self, job: str) -> tuple[str, str]:
        """The two keys that every commit of a job writes."""
        key = f"{self.job_prefix}{job}:"
        return key + "state", key + "events"

    def units(self, job: str) -> str:
        """Hash: each unit's state by its name."""
        return f"{self.job_prefix}{job}:units"

    def ranks(self, job: str) -> str:
        """Sorted set: the job's units in the order in which they joined."""
        return f"{self.job_prefix}{job}:ranks"

    def created(self, job: str) -> str:
        """String, expiring: the digest of what the job was created with over HTTP."""
        return f"{self.job_prefix}{job}:created"

    def live(self, job: str) -> str:
        """Sharded channel: the doorbell of a job."""
        return self.live_prefix + job


class Keys:
    """The keys of a namespace with a fixed number of partitions."""

    GROUP = "projections"
    """The consumer group whose position shows the lag of the projections."""

    def __init__(self, namespace: str, partitions: int) -> None:
        self.namespace = namespace
        self.meta = f"{namespace}:meta"
        self.members = f"{namespace}:members"
        self.secret = f"{namespace}:secret"
        self.numbers = f"{namespace}:numbers"
        self.partitions = tuple(PartitionKeys(namespace, number) for number in range(partitions))
        self.of = lru_cache(maxsize=65_536)(self._of)

    def answer(self, key: str) -> str:
        """String, expiring: what was answered to a request under this idempotency key."""
        return f"{self.namespace}:answer:{key}"

    def spent(self, name: str) -> str:
        """String, expiring: that a ticket was used."""
        return f"{self.namespace}:spent:{name}"

    def _of(self, job: str) -> PartitionKeys:
        """The keys of the partition that a job lives in."""
        return self.partitions[partition_of(job, len(self.partitions))]
