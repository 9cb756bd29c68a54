"""Files that pages load: ``GET /static/…``. They are in the package, the same for everybody, and tell of no job."""

import gzip
import hashlib
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from streamproc.gateway.problems import Problem

__all__ = ["answer", "get_asset"]

FOLDER: Final = Path(__file__).parent.parent / "static"
# Those of the system's own table differ from one machine to the next, and browsers run no script of a wrong type.
_TYPES: Final = {
    ".css": "text/css",
    ".html": "text/html",
    ".ico": "image/x-icon",
    ".js": "text/javascript",
    ".json": "application/json",
    ".md": "text/markdown",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".ts": "text/plain",
    ".txt": "text/plain",
    ".woff2": "font/woff2",
}


class Asset(NamedTuple):
    """A file as it goes out."""

    content: bytes
    packed: bytes
    media_type: str
    tag: str


@cache
def _assets() -> dict[str, Asset]:
    """All of them, by path. What isn't in here isn't served, whatever its path looks like."""
    found = {}
    for path in sorted(FOLDER.rglob("*")):
        if path.suffix in _TYPES and path.is_file():
            content = path.read_bytes()
            tag = hashlib.blake2b(content, digest_size=8).hexdigest()
            packed = gzip.compress(content, mtime=0)
            found[path.relative_to(FOLDER).as_posix()] = Asset(content, packed, _TYPES[path.suffix], tag)
    return found


async def get_asset(request: Request) -> Response:
    """A file for pages, of whatever origin."""
    return answer(request, request.path_params["file"], {"access-control-allow-origin": "*"})


def answer(request: Request, name: str, more: dict[str, str] | None = None) -> Response:
    """A file as an answer: packed where the client takes that, and 304 where it has it.

    Raises:
        Problem: there is no such file.
    """
    asset = _assets().get(name)
    if asset is None:
        raise Problem(404, "not-found", "there is no such file")
    packs = "gzip" in request.headers.get("accept-encoding", "")
    tag = f'"{asset.tag}-gz"' if packs else f'"{asset.tag}"'
    headers = {"cache-control": "no-cache", "vary": "accept-encoding", "etag": tag, **(more or {})}
    if tag in request.headers.get("if-none-match", ""):
        return Response(None, 304, headers)
    if packs:
        headers["content-encoding"] = "gzip"
    return Response(asset.packed if packs else asset.content, 200, headers, asset.media_type)
