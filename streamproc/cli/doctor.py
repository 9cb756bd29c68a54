"""``doctor``: is the server fit, and does the work get done?"""

from typing import Any, Final

import click
import msgspec

from streamproc.cli.options import Command, Failure, Setting, config_of, run, settings, warn
from streamproc.config import Config
from streamproc.errors import UnfitServer
from streamproc.findings import Finding, judge, judge_partitions
from streamproc.inspection import find_namespace, inspecting, report_partitions, report_server

__all__ = ["doctor", "require_fit"]

_COLORS: Final = {"ok": "green", "warn": "yellow", "fail": "red"}


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
