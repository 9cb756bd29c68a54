"""The commands that serve: everything at once, or one role a process."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import click
import msgspec

from streamproc.cli.logs import log_to_stderr
from streamproc.cli.options import Command, Setting, config_of, run, say, settings
from streamproc.cli.stopping import stop_at_end_of_stdin, stopping_by_signals
from streamproc.config import Config
from streamproc.embedded import Durability, default_data
from streamproc.errors import ConfigError

__all__ = ["gateway", "projector", "up"]

_listening = (
    *("host", "port", "insecure", "auth_file", "allowed_host", "cors_origin", "trusted_proxy"),
    *("rate_limit", "max_open", "max_open_each", "request_seconds", "max_body_bytes", "no_dialects"),
    *("stream_seconds", "drain_seconds"),
)
_folding = ("lease_seconds", "cache_bytes", "stall_seconds")
_logging = ("log_format", "log_level")
_json = click.option("--json", "as_json", cls=Setting, is_flag=True, help="One line of JSON on stdout once ready.")


@click.command(cls=Command)
@click.option("--redis", cls=Setting, metavar="URL", help="Use this server instead of an embedded one.")
@click.option(
    "--data",
    cls=Setting,
    type=click.Path(file_okay=False, path_type=Path),
    default=default_data,
    help="The embedded server's folder.",
)
@click.option(
    "--redis-port",
    cls=Setting,
    type=click.IntRange(0, 65535),
    help="The embedded server's port; 0 takes a free one.  [default: 8701 if it is free, else a free one]",
)
@click.option(
    "--durability",
    cls=Setting,
    type=click.Choice(["memory", "everysec", "always"]),
    default="everysec",
    help="What of the embedded server's data a power cut may take: all, about the last second, nothing.",
)
@click.option(
    "--projectors", cls=Setting, type=click.IntRange(1, 256), default=1, help="How many processes of projectors."
)
@settings(*_listening, "namespace", "partitions", *_folding, *_logging, "access_log")
@_json
def up(
    redis: str | None,
    data: Path,
    redis_port: int | None,
    durability: Durability,
    projectors: int,
    as_json: bool,
    **given: Any,
) -> None:
    """Run a server, projectors and the gateway, until Ctrl-C.

    Without --redis the server is an embedded Valkey, on loopback, that keeps its data for the next start.
    """
    from streamproc.cli.stack import Embedding, running

    config = config_of(**given, **({"redis": redis} if redis else {}))
    _log(config)
    embedding = None if redis else Embedding(data, redis_port, durability)

    async def main() -> None:
        async with stopping_by_signals() as stopping, running(config, embedding, projectors, stopping) as where:
            shown = config_of(redis=where.redis).redis_shown
            say(f"streamproc is up; Ctrl-C stops it\n  gateway  {where.gateway}\n  redis    {shown}")
            if where.data:
                say(f"  data     {where.data}")
            if as_json:
                click.echo(msgspec.json.encode(where))
            await stopping.asked.wait()
            say("stopping")

    run(main)


@click.command(cls=Command)
@settings("redis", "namespace", "partitions", *_folding, *_logging, "metrics_port")
@click.option("--until-stdin-closes", is_flag=True, hidden=True, help="Stop at the end of stdin, as at SIGTERM.")
@_json
def projector(until_stdin_closes: bool, as_json: bool, **given: Any) -> None:
    """Run a projector: fold its share of the partitions, until SIGTERM."""
    from projections import ALL, STALLS
    from streamproc import projector as role

    config = config_of(**given)
    _log(config)
    # A batch makes thousands of objects and no cycles: looking for cycles every 700 of them costs a tenth of the rate.
    gc.set_threshold(100_000, 20, 100)

    def started(metrics: str | None) -> None:
        if as_json:
            click.echo(msgspec.json.encode({"redis": config.redis_shown} | ({"metrics": metrics} if metrics else {})))
        else:
            say(f"the projector is a member at {config.redis_shown}{f'; metrics at {metrics}' if metrics else ''}")

    async def main() -> None:
        with _metrics(config.metrics_port) as metrics:
            await serve(metrics)

    async def serve(metrics: str | None) -> None:
        async with stopping_by_signals() as stopping, anyio.create_task_group() as tasks:
            if until_stdin_closes:
                tasks.start_soon(stop_at_end_of_stdin, stopping)
            await role.run(config, ALL, STALLS, stop=stopping.asked, started=lambda: started(metrics))
            tasks.cancel_scope.cancel()

    run(main)


@click.command(cls=Command)
@settings("redis", *_listening, "namespace", "partitions", *_logging, "access_log")
@_json
def gateway(as_json: bool, **given: Any) -> None:
    """Run a gateway: serve HTTP, until SIGTERM."""
    from projections import ESTIMATOR, PAST
    from streamproc import gateway as role

    config = config_of(**given)
    _log(config)

    def started(url: str) -> None:
        if as_json:
            click.echo(msgspec.json.encode({"gateway": url}))
        else:
            say(f"the gateway listens on {url}")

    async def main() -> None:
        async with stopping_by_signals() as stopping:
            await role.serve(config, ESTIMATOR, PAST, stop=stopping.asked, started=started)

    run(main)


def _log(config: Config) -> None:
    log_to_stderr(config.log_format, config.log_level, access=config.access_log)


@contextmanager
def _metrics(port: int | None) -> Iterator[str | None]:
    """Tell Prometheus what this projector counts; where, is the value."""
    if port is None:
        yield None
        return
    from prometheus_client import start_http_server

    from streamproc.telemetry.projector import REGISTRY

    try:
        server, _ = start_http_server(port, "127.0.0.1", REGISTRY)
    except OSError as error:
        raise ConfigError(f"metrics_port: can't listen at port {port}: {error.strerror or error}") from error
    try:
        yield f"http://127.0.0.1:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
