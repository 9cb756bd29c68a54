"""What the serving commands log, on stderr: for people, or one JSON object a line for programs."""

import logging
import sys
import traceback
from typing import Any, Final

import msgspec

from streamproc.position import rfc3339

__all__ = ["FORMATS", "LEVELS", "JsonLines", "log_to_stderr"]

FORMATS: Final = ("text", "json")
LEVELS: Final = ("debug", "info", "warning", "error")
_TEXT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_KNOWN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
# They would tell whole URLs, and in them tickets and tokens.
_OTHERS: Final = ("uvicorn", "httpx", "httpcore", "websockets")
_ACCESS: Final = "streamproc.access"


class JsonLines(logging.Formatter):
    """One JSON object a record: `time`, `level`, `logger`, `message`, what else the record has, maybe `error`."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = {
            "time": rfc3339(int(record.created * 1000)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        fields |= {name: value for name, value in vars(record).items() if name not in _KNOWN and name not in fields}
        if record.exc_info:
            fields["error"] = "".join(traceback.format_exception(*record.exc_info))
        return msgspec.json.encode(fields, enc_hook=repr).decode()


def log_to_stderr(form: str, level: str, *, access: bool) -> None:
    """Begin to log.

    Args:
        form: one of `FORMATS`.
        level: the least of `LEVELS` that is told.
        access: whether each request is told of.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else logging.Formatter(_TEXT))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in _OTHERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger(_ACCESS).setLevel(logging.INFO if access else logging.WARNING)
