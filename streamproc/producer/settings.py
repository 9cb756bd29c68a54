"""What a connection is made with, checked as a whole."""

import math
import os
from typing import Final

import msgspec
from msgspec import Struct

from streamproc.config import DEFAULT_REDIS_PORT, Config
from streamproc.errors import ConfigError

__all__ = ["BUFFER_BYTES", "Settings"]

BUFFER_BYTES: Final = 32 * 1024 * 1024
_HTTP: Final = ("http://", "https://")
_REDIS: Final = ("redis://", "rediss://", "unix://")


class Settings(Struct, frozen=True, kw_only=True):
    """Where to, and how: see `connect` for what each means. Two connections with equal settings are interchangeable."""

    url: str
    token: str | None
    namespace: str
    partitions: int
    min_interval: float
    heartbeat_interval: float
    flush_seconds: float
    buffer_bytes: int

    @classmethod
    def of(cls, url: str | None, token: str | None, **others: object) -> "Settings":
        """The settings, completed by STREAMPROC_URL and STREAMPROC_TOKEN.

        Raises:
            ConfigError: naming every one that can't work.
        """
        url = url or os.environ.get("STREAMPROC_URL") or f"redis://127.0.0.1:{DEFAULT_REDIS_PORT}/0"
        token = token or os.environ.get("STREAMPROC_TOKEN") or None
        try:
            settings = msgspec.convert({"url": url, "token": token, **others}, cls)
        except msgspec.ValidationError as error:
            reason, _, field = str(error).rpartition(" - at `$.")
            raise ConfigError(f"{field.rstrip('`')}: {reason}") from None
        settings._check()
        return settings

    @property
    def over_http(self) -> bool:
        """Whether it goes through a gateway."""
        return self.url.startswith(_HTTP)

    def _check(self) -> None:
        wrong = []
        if not self.url.startswith(_HTTP + _REDIS):
            wrong.append(f"url: {self.url!r} must begin with {', '.join(_REDIS + _HTTP)}")
        if self.token is not None and not (self.token.isascii() and self.token.isprintable()):
            wrong.append("token: must be printable ASCII, on one line")
        for name in ("min_interval", "heartbeat_interval", "flush_seconds"):
            seconds = getattr(self, name)
            if not (math.isfinite(seconds) and seconds >= 0):
                wrong.append(f"{name}: {seconds} must be seconds, 0 or more")
        if self.buffer_bytes < 0:
            wrong.append(f"buffer_bytes: {self.buffer_bytes} must be 0 or more")
        try:
            Config(namespace=self.namespace, partitions=self.partitions).check()
        except ConfigError as error:
            wrong.append(str(error))
        if wrong:
            raise ConfigError("\n".join(wrong))
