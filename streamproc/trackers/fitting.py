"""What the work hands to a tracker, made to fit the wire. It is data, so none of it is refused."""

import hashlib
import re
from typing import Any, Final

from streamproc.events import MAX_NUMBER
from streamproc.producer import checks

__all__ = ["amount", "details", "finite", "name", "text", "whole"]

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_READABLE: Final = 200


def finite(said: Any) -> float | None:
    """A finite number, or None."""
    try:
        return checks.finite("number", said)
    except (TypeError, ValueError):
        return None


def amount(said: Any) -> float:
    """A count or a weight, brought within 0 to 2^53 - 1; what is no number is 0."""
    number = finite(said)
    return 0 if number is None else checks.amount("number", min(max(number, 0.0), MAX_NUMBER))


def whole(said: Any, most: int) -> int | None:
    """A whole number from 0 to `most`, or None."""
    number = finite(said)
    return int(number) if number is not None and 0 <= number <= most else None


def name(said: Any) -> str:
    """A name as it is, where it can be one; else a readable part of it and a digest that keeps it apart."""
    try:
        return checks.name("unit", said)
    except (TypeError, ValueError):
        whole = str(said).encode(errors="surrogatepass")
        readable = _CONTROL.sub("?", str(said)[:_READABLE].encode(errors="replace").decode())
        return f"{readable}~{hashlib.blake2b(whole, digest_size=6).hexdigest()}"


def text(said: Any) -> str | None:
    """A message, cut where it is too long; None where there is nothing to say."""
    return None if said is None else checks.text("message", str(said)) or None


def details(said: Any) -> dict[str, Any] | None:
    """Details as plain data, or None where JSON can't say them."""
    if said is None:
        return None
    try:
        plain: dict[str, Any] = checks.value("details", said)
    except (TypeError, ValueError):
        return None
    return plain
