"""How requests are refused for who asks (RFC 6750, 3)."""

from typing import Final

from streamproc.gateway.problems import Problem

__all__ = ["insufficient_scope", "invalid_token", "unauthenticated"]

_REALM: Final = 'Bearer realm="streamproc"'


def unauthenticated() -> Problem:
    """401: it takes a token or key, and there was none."""
    detail = "this gateway wants a token or key: Authorization: Bearer …"
    return Problem(401, "unauthenticated", detail, {"www-authenticate": _REALM})


def invalid_token(why: str) -> Problem:
    """401: what was sent is no good. `why` is ASCII without quotes, and tells nothing of other tokens."""
    challenge = f'{_REALM}, error="invalid_token", error_description="{why}"'
    return Problem(401, "invalid-token", why, {"www-authenticate": challenge})


def insufficient_scope(scope: str) -> Problem:
    """403: who asks is known, and may not."""
    challenge = f'{_REALM}, error="insufficient_scope", scope="{scope}"'
    return Problem(
        403, "insufficient-scope", f"this takes the scope {scope}", {"www-authenticate": challenge}, scope=scope
    )
