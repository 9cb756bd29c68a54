"""``doctor``: is the server fit, and does the work get done?"""

from typing import Any, Final, Literal

import click
import msgspec

from streamproc.cli.options import Command, Failure, Setting, config_of, run, settings, warn
from streamproc.config import Config
from streamproc.errors import UnfitServer
from streamproc.inspection import (
    PartitionReport,
    ServerReport,
    find_namespace,
    inspecting,
    report_partitions,
    report_server,
)

__all__ = ["doctor", "require_fit"]

_MANY_BEHIND: Final = 10_000
_COLORS: Final = {"ok": "green", "warn": "yellow", "fail": "red"}


class Finding(msgspec.Struct, frozen=True):
    """What one check found."""

    check: str
    verdict: Literal["ok", "warn", "fail"]
    text: str


@click.command(cls=Command)
@settings("redis", "namespace")
@click.option("--json", "as_json", cls=Setting, is_flag=True, help="One line of JSON a check on stdout.")
def doctor(as_json: bool, **given: Any) -> None:
    """Check the server, its settings and the partitions. Exit code 1 where something fails."""
    config = config_of(**given)
    findings = run(lambda: _examine(config))
    for finding in findings:
        if as_json:
            click.echo(msgspec.json.encode(finding))
        else:
            mark = click.style(f"{finding.verdict:>4}", fg=_COLORS[finding.verdict])
            click.echo(f"{mark}  {finding.check}: {finding.text}")
    failed = sum(finding.verdict == "fail" for finding in findings)
    if failed:
        raise Failure(f"{failed} of {len(findings)} checks failed")


async def require_fit(config: Config) -> None:
    """Refuse a server that can't work, and warn about one that may lose data.

    Raises:
        ServerUnavailable: it doesn't answer.
        UnfitServer: it is too old.
    """
    async with inspecting(config) as client:
        findings = judge(await report_server(client))
    for finding in findings:
        if finding.check == "version" and finding.verdict == "fail":
            raise UnfitServer(finding.text)
        if finding.verdict != "ok" and finding.check != "functions":
            warn(finding.text)


async def _examine(config: Config) -> list[Finding]:
    async with inspecting(config) as client:
        server = await report_server(client)
        findings = [Finding("server", "ok", f"{config.redis_shown} answers"), *judge(server)]
        keys = await find_namespace(client, config.namespace)
        if keys is None:
            return [*findings, Finding("namespace", "warn", f"{config.namespace} is empty: nothing has used it yet")]
        reports = await report_partitions(client, keys)
    return [*findings, *judge_partitions(reports)]


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
    owners = len({report.owner for report in reports} - {None})
    total = sum(behind.values())
    return [
        Finding("owners", "fail", f"nobody folds partitions {_list(idle)}: start a projector")
        if idle
        else Finding("owners", "ok", f"{len(reports)} partitions, {owners} leases"),
        Finding("lag", "warn" if total > _MANY_BEHIND else "ok", f"{total:,} events behind{_by_partition(behind)}"),
        Finding("dead letters", "warn" if dead else "ok", f"{sum(dead.values()):,}{_by_partition(dead)}"),
    ]


def _list(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers))


def _by_partition(counts: dict[int, int]) -> str:
    return f" ({', '.join(f'partition {number}: {count:,}' for number, count in counts.items())})" if counts else ""
