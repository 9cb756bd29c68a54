"""Settings: one frozen struct, read once, checked as a whole."""

import ipaddress
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from streamproc.errors import ConfigError

__all__ = ["DEFAULT_PORT", "DEFAULT_REDIS_PORT", "Config", "is_loopback"]

DEFAULT_PORT: Final = 8700
DEFAULT_REDIS_PORT: Final = 8701
_MOST_STALL_SECONDS: Final = 365 * 86_400
_LONGEST_WAIT: Final = 60
"""Seconds, that a request may ask to wait."""
_RATE: Final = r"[1-9]\d{0,8} ?/ ?([1-9]\d{0,3} ?)?(second|minute|hour|day)s?"
_RATES: Final = rf"({_RATE}( ?; ?{_RATE})*)?"
_SCHEMES: Final = ("redis", "rediss", "unix")


class Config(Struct, frozen=True, kw_only=True):
    """What the projector and the gateway need to know.

    Args:
        redis: URL of the server: ``redis://``, ``rediss://`` or ``unix://``.
        namespace: what all keys begin with.
        partitions: how many streams the log has; fixed when a namespace is created.
        host, port: where the gateway listens; port 0 takes a free one.
        insecure: let the gateway listen beyond loopback without authentication.
        lease_seconds: how long an owner may be silent before another takes its partitions.
        cache_bytes: memory for job states in a projector; the least recently used go first.
        stall_seconds: how long jobs of a kind may be silent, instead of what its runs have taught; ``*`` is for all
            kinds that aren't named, and for jobs without.
        auth_file: who may use the gateway: see `streamproc.auth`; None is everybody.
        allowed_host: names by which the gateway may be called, besides loopback's.
        cors_origin: origins whose pages may use the gateway, besides its own; ``*`` is any, without cookies.
        stream_seconds: how long a live stream may last, give or take a tenth; who follows connects again.
        drain_seconds: over how long live streams end when the gateway stops.
        trusted_proxy: addresses and networks of proxies, whose word on the client's address is taken.
        rate_limit: how many requests each client may make, such as ``20/second;600/minute``; empty is any number.
        max_open: how many requests, streams and sockets may be open in all.
        max_open_each: likewise by one client; 0 is `max_open`.
        request_seconds: how long a request may take until its answer begins.
        max_body_bytes: the longest body of a request.
        no_dialects: leave out the routes for clients of other services: see docs/dialects.md.
        log_format: ``text`` for people, or ``json``: one object a line.
        log_level: the least that is logged: ``debug``, ``info``, ``warning`` or ``error``.
        access_log: whether the gateway logs each request.
        metrics_port: where on loopback a projector tells Prometheus what it counts; 0 takes a free port, None tells
            nobody.
    """

    redis: str = f"redis://127.0.0.1:{DEFAULT_REDIS_PORT}/0"
    namespace: str = "sp"
    partitions: int = 16
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    insecure: bool = False
    lease_seconds: float = 5.0
    cache_bytes: int = 512 * 1024 * 1024
    stall_seconds: Mapping[str, float] = {}
    auth_file: Path | None = None
    allowed_host: tuple[str, ...] = ()
    cors_origin: tuple[str, ...] = ()
    stream_seconds: float = 3600.0
    drain_seconds: float = 2.0
    trusted_proxy: tuple[str, ...] = ()
    rate_limit: str = ""
    max_open: int = 10_000
    max_open_each: int = 0
    request_seconds: float = 120.0
    max_body_bytes: int = 8 * 1024 * 1024
    no_dialects: bool = False
    log_format: str = "text"
    log_level: str = "info"
    access_log: bool = False
    metrics_port: int | None = None

    @property
    def redis_shown(self) -> str:
        """The server's URL without its password, for people."""
        return re.sub(r"//[^@/]*@", "//***@", self.redis)

    def check(self) -> "Config":
        """Return itself, or raise `ConfigError` naming every setting that cannot work."""
        wrong = []
        if urlsplit(self.redis).scheme not in _SCHEMES:
            wrong.append(f"redis: {self.redis!r} must begin with redis://, rediss:// or unix://")
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", self.namespace):
            wrong.append(f"namespace: {self.namespace!r} must be 1 to 64 characters of A-Z a-z 0-9 . _ -")
        if not 1 <= self.partitions <= 4096:
            wrong.append(f"partitions: {self.partitions} must be 1 to 4096")
        if not 0 <= self.port <= 65535:
            wrong.append(f"port: {self.port} must be 0 to 65535")
        if not is_loopback(self.host) and not self.insecure and self.auth_file is None:
            wrong.append(
                f"host: {self.host} is not loopback, and the gateway has no authentication; name who may use it by "
                "--auth-file, listen on 127.0.0.1 behind a proxy that asks, or say --insecure"
            )
        wrong += self._wrong_origins()
        wrong += self._wrong_limits()
        if not 0.5 <= self.lease_seconds <= 300:
            wrong.append(f"lease_seconds: {self.lease_seconds} must be 0.5 to 300")
        if not 1 <= self.stream_seconds <= _MOST_STALL_SECONDS:
            wrong.append(f"stream_seconds: {self.stream_seconds} must be 1 to {_MOST_STALL_SECONDS:,}, a year")
        if not 0 <= self.drain_seconds <= 60:
            wrong.append(f"drain_seconds: {self.drain_seconds} must be 0 to 60")
        if self.cache_bytes < 1024 * 1024:
            wrong.append(f"cache_bytes: {self.cache_bytes} must be at least 1 MiB")
        for kind, seconds in self.stall_seconds.items():
            if not 1 <= seconds <= _MOST_STALL_SECONDS:
                wrong.append(f"stall_seconds: {seconds:g} of {kind!r} must be 1 to {_MOST_STALL_SECONDS:,}, a year")
        if wrong:
            raise ConfigError("\n".join(wrong))
        return self

    def _wrong_limits(self) -> Iterator[str]:
        if not re.fullmatch(_RATES, self.rate_limit):
            yield f"rate_limit: {self.rate_limit!r} must be such as 600/minute, or several: 20/second;600/minute"
        if self.max_open < 1:
            yield f"max_open: {self.max_open} must be 1 or more"
        if self.max_open_each < 0:
            yield f"max_open_each: {self.max_open_each} must be 0 or more"
        if not _LONGEST_WAIT < self.request_seconds <= 3600:
            yield f"request_seconds: {self.request_seconds:g} must be more than {_LONGEST_WAIT} and 3600 at most"
        if not 64 * 1024 <= self.max_body_bytes <= 1024 * 1024 * 1024:
            yield f"max_body_bytes: {self.max_body_bytes} must be 64 KiB, the longest event, to 1 GiB"

    def _wrong_origins(self) -> Iterator[str]:
        for origin in self.cors_origin:
            if origin == "*" and self.auth_file is None:
                yield "cors_origin: * lets every page in the world use a gateway that asks nobody; name the origins"
            elif origin != "*" and not re.fullmatch(r"https?://[^/\s?#@]+", origin):
                yield f"cors_origin: {origin!r} must be an origin such as https://app.example.com, without a path"
        for host in self.allowed_host:
            if not re.fullmatch(r"[A-Za-z0-9.\[\]:_-]+", host):
                yield f"allowed_host: {host!r} must be a name such as gateway.example.com"
        for proxy in self.trusted_proxy:
            try:
                ipaddress.ip_network(proxy)
            except ValueError:
                yield f"trusted_proxy: {proxy!r} must be an address or a network such as 10.0.0.0/8"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address. Names other than ``localhost`` are not trusted to."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
