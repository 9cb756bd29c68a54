"""Flags, their variables and the file of settings; how a command is run and how it fails."""

import logging
import sys
import tomllib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

import anyio
import click

from streamproc.auth import read_auth
from streamproc.cli.logs import FORMATS, LEVELS, JsonLines
from streamproc.cli.texts import clean_lines
from streamproc.config import Config
from streamproc.errors import (
    CallerError,
    DataInUse,
    StreamprocError,
    UnknownJob,
    UnknownKind,
)

__all__ = ["REFUSED", "Command", "Commands", "Failure", "Setting", "config_of", "run", "say", "settings", "warn"]

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

_logger = logging.getLogger("streamproc")

FAILED: Final = 1
REFUSED: Final = 2
NOT_REACHABLE: Final = 3
NOT_FOUND: Final = 4
IN_USE: Final = 5


class Failure(click.ClickException):
    """The end of a command that could not do its work: one line on stderr and an exit code."""

    def __init__(self, message: str, exit_code: int = FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]

    @classmethod
    def of(cls, error: StreamprocError) -> "Failure":
        """The failure that an error of ours means for the command."""
        match error:
            case UnknownJob() | UnknownKind():
                code = NOT_FOUND
            case DataInUse():
                code = IN_USE
            case CallerError():
                code = REFUSED
            case _:
                code = NOT_REACHABLE
        return cls(clean_lines(str(error)), code)


class Setting(click.Option):
    """A flag that a variable and the file of settings can give too: ``--redis-port``, ``STREAMPROC_REDIS_PORT``."""

    def __init__(self, declarations: list[str], **attributes: Any) -> None:
        super().__init__(declarations, show_default=True, show_envvar=True, **attributes)
        self.setting = self.opts[0].lstrip("-").replace("-", "_")
        self.envvar = f"STREAMPROC_{self.setting.upper()}"


class Command(click.Command):
    """A command that takes ``--config FILE``."""

    def __init__(self, *args: Any, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.params.append(
            Setting(
                ["--config"],
                type=click.Path(exists=True, dir_okay=False, path_type=Path),
                is_eager=True,
                expose_value=False,
                callback=_read_settings,
                help="A TOML file of these settings, by the same names.",
            )
        )


class Commands(click.Group):
    """The group of commands; errors of ours become one line and an exit code."""

    command_class = Command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except StreamprocError as error:
            raise Failure.of(error) from error


def _read_settings(ctx: click.Context, param: click.Parameter, path: Path | None) -> None:
    if path is None:
        return
    try:
        found = tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise click.BadParameter(f"{path} is not TOML: {error}", ctx, param) from error
    given = {name.replace("-", "_"): _lines(value) for name, value in found.items()}
    unknown = sorted(set(given) - {setting.setting for setting in _all_settings(ctx.find_root().command)})
    if unknown:
        raise click.BadParameter(f"{path} has settings that don't exist: {', '.join(unknown)}", ctx, param)
    own = {setting.setting: setting.name for setting in _all_settings(ctx.command)}
    ctx.default_map = {own[name]: value for name, value in given.items() if name in own}


def _lines(value: Any) -> Any:
    """A table, as what the flag of that name would be given."""
    return [f"{name}={each}" for name, each in value.items()] if isinstance(value, dict) else value


def _all_settings(command: click.Command) -> list[Setting]:
    """The settings of a command, or of all in a group: one file may serve several."""
    commands = command.commands.values() if isinstance(command, click.Group) else [command]
    return [param for each in commands for param in each.params if isinstance(param, Setting) and not param.is_eager]


class _Seconds(click.ParamType):  # type: ignore[type-arg]
    """``kind=seconds``; in a variable one a line, as no kind holds the end of one."""

    name = "kind=seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, float]:
        if isinstance(value, tuple):
            return value
        kind, _, seconds = str(value).rpartition("=")
        try:
            number = float(seconds)
        except ValueError:
            kind = ""
        if not kind:
            self.fail(f"{value!r} is not kind=seconds", param, ctx)
        return kind, number

    def split_envvar_value(self, rv: str) -> list[str]:
        return [line for line in rv.splitlines() if line.strip()]


_DEFAULTS: Final = Config()
_SETTINGS: Final[dict[str, dict[str, Any]]] = {
    "redis": {"metavar": "URL", "help": "The Redis or Valkey server."},
    "namespace": {"help": "What all keys begin with."},
    "partitions": {"type": int, "help": "How many streams a new namespace gets; a present one keeps its own."},
    "host": {"help": "Where the gateway listens."},
    "port": {"type": int, "help": "The gateway's port; 0 takes a free one."},
    "insecure": {"is_flag": True, "help": "Let the gateway listen beyond loopback without authentication."},
    "auth_file": {
        "type": click.Path(exists=True, dir_okay=False, path_type=Path),
        "metavar": "FILE",
        "help": "A TOML file that says who may use the gateway; without it, everybody who reaches it.",
    },
    "allowed_host": {
        "multiple": True,
        "metavar": "NAME",
        "help": "A name by which the gateway may be called.  [default: loopback's; any with authentication]",
    },
    "cors_origin": {
        "multiple": True,
        "metavar": "ORIGIN",
        "help": "Whose pages may use the gateway, besides its own, such as https://app.example.com.",
    },
    "trusted_proxy": {
        "multiple": True,
        "metavar": "ADDRESS",
        "help": "A proxy, or a network of them, that says truly whom it asks for by X-Forwarded-For.",
    },
    "log_format": {"type": click.Choice(FORMATS), "help": "What is logged on stderr: for people, or JSON."},
    "log_level": {"type": click.Choice(LEVELS), "help": "The least that is logged."},
    "access_log": {"is_flag": True, "help": "Log each request: its route, status and milliseconds."},
    "metrics_port": {
        "type": click.IntRange(0, 65535),
        "help": "Tell Prometheus at this port of loopback what is folded; 0 takes a free one.",
    },
    "rate_limit": {
        "metavar": "RATES",
        "help": "How many requests each client may make, such as 20/second;600/minute.  [default: any number]",
    },
    "max_open": {"type": int, "help": "How many requests, streams and sockets may be open in all."},
    "max_open_each": {"type": int, "help": "How many one client may have open; 0 is as many as in all."},
    "request_seconds": {"type": float, "help": "How long a request may take until its answer begins."},
    "stream_seconds": {"type": float, "help": "How long a live stream may last; then its client connects again."},
    "drain_seconds": {"type": float, "help": "Over how long live streams end when the gateway stops."},
    "max_body_bytes": {"type": int, "help": "The longest body of a request."},
    "no_dialects": {"is_flag": True, "help": "Leave out the routes for clients of other services."},
    "lease_seconds": {"type": float, "help": "How long a projector may be silent before others take its partitions."},
    "cache_bytes": {"type": int, "help": "Memory for job states in a projector."},
    "stall_seconds": {
        "type": _Seconds(),
        "multiple": True,
        "default": (),
        "callback": lambda ctx, param, value: dict(value),
        "help": "How long jobs of a kind may be silent, for one kind at a time; * is for all others.  "
        "[default: what the kind's runs have taught]",
    },
}


def settings(*names: str) -> Callable[[F], F]:
    """Give a command flags for these fields of `Config`."""

    def decorate(function: F) -> F:
        for name in reversed(names):
            attributes = {"default": getattr(_DEFAULTS, name)} | _SETTINGS[name]
            function = click.option(f"--{name.replace('_', '-')}", cls=Setting, **attributes)(function)
        return function

    return decorate


def config_of(**given: Any) -> Config:
    """The checked settings, and the file that they name. Raises `ConfigError`."""
    config = Config(**given).check()
    if config.auth_file is not None:
        read_auth(config.auth_file)
    return config


def run(main: Callable[[], Awaitable[T]]) -> T:
    """Run a command's coroutine, and raise what ends it as itself rather than in a group."""
    try:
        return anyio.run(main, backend_options={"use_uvloop": sys.platform != "win32"})
    except BaseExceptionGroup as group:
        _raise_the_first(group)


def _raise_the_first(group: BaseExceptionGroup[BaseException]) -> NoReturn:
    expected, others = group.split((StreamprocError, click.ClickException, OSError))
    if others is not None or expected is None:
        raise group
    error: BaseException = expected
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    raise error


def say(text: str) -> None:
    """Talk, on stderr: stdout is for data. Where the log is JSON, it is a line of it."""
    if any(isinstance(handler.formatter, JsonLines) for handler in logging.getLogger().handlers):
        _logger.info(text)
    else:
        click.echo(text, err=True)


def warn(text: str) -> None:
    """Say what somebody should look at."""
    click.echo(f"{click.style('warning:', fg='yellow')} {text}", err=True)
