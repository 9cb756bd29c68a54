"""What is wrong with a server or with partitions, and what to do about it, in the words of `doctor` and of pages."""

from typing import Final, Literal

from msgspec import Struct

from streamproc.inspection import PartitionReport, ServerReport

__all__ = ["Finding", "judge", "judge_partitions"]

_MANY_BEHIND: Final = 10_000


class Finding(Struct, frozen=True):
    """What one check found.

    Args:
        check: what was looked at: ``version``, ``durability``, ``eviction``, ``functions``, ``owners``, ``lag``,
            ``dead letters``.
        verdict: ``ok``, ``warn`` or ``fail``.
        text: what was found, and where it isn't ok what to do.
    """

    check: str
    verdict: Literal["ok", "warn", "fail"]
    text: str


def judge(server: ServerReport) -> list[Finding]:
    """What a server's report means."""
    return [_version(server), _durability(server), _eviction(server), _functions(server)]


def _version(server: ServerReport) -> Finding:
    if server.fit:
        return Finding("version", "ok", f"{server.kind} {server.version}")
    return Finding(
        "version", "fail", f"{server.kind} {server.version} is too old: it takes Redis >= 7.0 or Valkey >= 8"
    )


def _durability(server: ServerReport) -> Finding:
    if not server.aof:
        return Finding("durability", "warn", "appendonly is off: a restart of the server may lose everything")
    if server.fsync == "no":
        return Finding("durability", "warn", "appendfsync is no: a power cut may lose about 30 s")
    loss = {"always": ": a power cut loses nothing", "everysec": ": a power cut may lose about 1 s"}
    return Finding(
        "durability", "ok", f"append-only file, {server.fsync or 'fsync unknown'}{loss.get(server.fsync or '', '')}"
    )


def _eviction(server: ServerReport) -> Finding:
    match server.eviction:
        case "noeviction":
            return Finding("eviction", "ok", "noeviction")
        case None:
            return Finding("eviction", "warn", "the server doesn't tell its maxmemory-policy; it has to be noeviction")
        case policy:
            return Finding(
                "eviction", "fail", f"maxmemory-policy is {policy}: it may drop events; set it to noeviction"
            )


def _functions(server: ServerReport) -> Finding:
    if server.knows_functions:
        return Finding("functions", "ok", f"version {server.functions}")
    if server.functions is None:
        return Finding("functions", "warn", "not loaded yet; the projector and the gateway load them when they start")
    return Finding("functions", "fail", f"version {server.functions} is loaded; this program speaks another one")


def judge_partitions(reports: list[PartitionReport]) -> list[Finding]:
    """What the partitions' reports mean: who owns them, how far behind they are, what they couldn't fold."""
    idle = [report.partition for report in reports if report.owner is None]
    behind = {report.partition: report.lag for report in reports if report.lag}
    dead = {report.partition: report.dead_letters for report in reports if report.dead_letters}
    projectors = len({report.projector for report in reports})
    total = sum(behind.values())
    return [
        Finding(
            "owners", "fail", f"nobody folds partitions {_list(idle)}: start a projector with `streamproc projector`"
        )
        if idle
        else Finding("owners", "ok", f"{len(reports)} partitions, {projectors} projectors"),
        Finding("lag", "warn" if total > _MANY_BEHIND else "ok", f"{total:,} events behind{_by_partition(behind)}"),
        Finding("dead letters", "warn", f"{sum(dead.values()):,}{_by_partition(dead)}: mend what writes them")
        if dead
        else Finding("dead letters", "ok", "0"),
    ]


def _list(numbers: list[int]) -> str:
    """Rising numbers as runs of them: ``0-3, 7``."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1] = [runs[-1][0], number]
        else:
            runs.append([number])
    return ", ".join("-".join(map(str, run)) for run in runs)


def _by_partition(counts: dict[int, int]) -> str:
    return f" ({', '.join(f'partition {number}: {count:,}' for number, count in counts.items())})" if counts else ""
