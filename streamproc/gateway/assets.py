"""Files that pages load: ``GET /static/…``. They are in the package, the same for everybody, and tell of no job.

Below ``/static/~<version>/`` they are the same files, and may be kept for good: the version is a digest of all of them.
Modules name one another relative to themselves, so whatever a page loads from there comes from there.
"""

import gzip
import hashlib
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from streamproc.gateway.preloads import with_preloads
from streamproc.gateway.problems import Problem

__all__ = ["FOLDER", "answer", "get_asset"]

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
_CHECKED: Final = "no-cache"
_KEPT: Final = "public, max-age=31536000, immutable"


class Asset(NamedTuple):
    """A file as it goes out."""

    content: bytes
    packed: bytes
    media_type: str
    tag: str


class _Assets(NamedTuple):
    """All of them by path. What isn't in here isn't served, whatever its path looks like."""

    version: str
    files: dict[str, Asset]


@cache
def _assets() -> _Assets:
    paths = [path for path in sorted(FOLDER.rglob("*")) if path.suffix in _TYPES and path.is_file()]
    contents = {path.relative_to(FOLDER).as_posix(): path.read_bytes() for path in paths}
    version = _digest(repr(list(contents.items())).encode())
    files = {}
    for name, content in contents.items():
        if name.endswith(".html"):
            content = with_preloads(content, contents).replace(b'"/static/', f'"/static/~{version}/'.encode())
        packed = gzip.compress(content, mtime=0)
        files[name] = Asset(content, packed, _TYPES[Path(name).suffix], _digest(content))
    return _Assets(version, files)


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=8).hexdigest()


async def get_asset(request: Request) -> Response:
    """A file for pages, of whatever origin."""
    name = request.path_params["file"]
    caching = _CHECKED
    if name.startswith("~"):
        # Another gateway's page may name another version: it gets what there is, and asks again.
        version, _, name = name[1:].partition("/")
        caching = _KEPT if version == _assets().version else _CHECKED
    return answer(request, name, {"access-control-allow-origin": "*", "cache-control": caching})


def answer(request: Request, name: str, more: dict[str, str]) -> Response:
    """A file as an answer: packed where the client takes that, and 304 where it has it.

    Raises:
        Problem: there is no such file.
    """
    asset = _assets().files.get(name)
    if asset is None:
        raise Problem(404, "not-found", "there is no such file")
    packs = "gzip" in request.headers.get("accept-encoding", "")
    tag = f'"{asset.tag}-gz"' if packs else f'"{asset.tag}"'
    headers = {"cache-control": _CHECKED, "vary": "accept-encoding", "etag": tag, **more}
    if tag in request.headers.get("if-none-match", ""):
        return Response(None, 304, headers)
    if packs:
        headers["content-encoding"] = "gzip"
    return Response(asset.packed if packs else asset.content, 200, headers, asset.media_type)
