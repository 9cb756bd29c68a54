"""A server for one benchmark: the embedded one as `up` starts it, in a folder of its own."""

import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from streamproc.embedded import EmbeddedServer, embedded_server

__all__ = ["fresh_server"]


@asynccontextmanager
async def fresh_server() -> AsyncIterator[EmbeddedServer]:
    """An empty embedded server with the settings that `streamproc up` gives it; its data is thrown away."""
    folder = Path(tempfile.mkdtemp(prefix="streamproc-benchmark-"))
    try:
        async with embedded_server(folder, port=0) as server:
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)
