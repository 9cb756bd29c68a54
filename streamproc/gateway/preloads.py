"""What a page's modules import, so that a browser may load all of it at once and not level by level as it finds it."""

import posixpath
import re
from collections.abc import Mapping
from typing import Final

__all__ = ["with_preloads"]

_PRELOAD: Final = re.compile(rb'<link rel="modulepreload" href="/static/([^"]+)">\n')
_IMPORT: Final = re.compile(rb'^(?:import|export)\b[^;"]*"(\.[^"]+)";', re.MULTILINE)


def with_preloads(page: bytes, files: Mapping[str, bytes]) -> bytes:
    """The page, which preloads all that the modules import that it preloads. `files` are by their paths."""
    named = [name.decode() for name in _PRELOAD.findall(page)]
    for name in named:
        for path in _IMPORT.findall(files[name]):
            found = posixpath.normpath(posixpath.join(posixpath.dirname(name), path.decode()))
            if found in files and found not in named:
                named.append(found)
    links = "".join(f'<link rel="modulepreload" href="/static/{name}">\n' for name in named)
    head, _, rest = page.partition(b'<link rel="modulepreload"')
    return head + links.encode() + _PRELOAD.sub(b"", b'<link rel="modulepreload"' + rest) if named else page
