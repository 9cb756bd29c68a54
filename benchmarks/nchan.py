"""nginx with nchan as a plain fan-out in C: what the gateway's deliveries are held against, where it is installed."""

import shutil
import socket
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from subprocess import DEVNULL
from typing import Any

import anyio
import httpx

__all__ = ["deliveries_of_nchan"]

_MODULE = "/usr/lib/nginx/modules/ngx_nchan_module.so"
_SETTINGS = """
load_module {module};
daemon off;
master_process off;
worker_rlimit_nofile 20000;
error_log {folder}/error.log;
pid {folder}/pid;
events {{ worker_connections 15000; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  server {{
    listen 127.0.0.1:{port} backlog=2048;
    location /publish {{ nchan_publisher; nchan_channel_id one; nchan_message_buffer_length 0; }}
    location /follow {{ nchan_subscriber eventsource; nchan_channel_id one; nchan_subscriber_first_message newest; }}
  }}
}}
"""


async def deliveries_of_nchan(
    loading: Callable[[str], AbstractAsyncContextManager[Any]], clients: int, seconds: float
) -> float | None:
    """Messages a second to clients of one channel; None where it isn't installed."""
    nginx, module = shutil.which("nginx", path="/usr/sbin:/usr/bin"), anyio.Path(_MODULE)
    if nginx is None or not await module.exists():
        return None
    with tempfile.TemporaryDirectory(prefix="streamproc-nchan-") as folder:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        settings = anyio.Path(folder) / "nginx.conf"
        await settings.write_text(_SETTINGS.format(module=_MODULE, folder=folder, port=port))
        async with await anyio.open_process([nginx, "-p", folder, "-c", str(settings)], stderr=DEVNULL) as process:
            try:
                return await _measured(f"http://127.0.0.1:{port}", loading, clients, seconds)
            finally:
                process.terminate()


async def _measured(
    url: str, loading: Callable[[str], AbstractAsyncContextManager[Any]], clients: int, seconds: float
) -> float:
    async with loading(url) as load, httpx.AsyncClient(base_url=url, trust_env=False) as http:
        await anyio.sleep(0.5)
        await load.ask("follow", ["/follow"] * clients)
        await load.ask("count")
        message = '{"job":"a","status":"running","message":"' + "x" * 900 + '"}'  # about as long as a snapshot
        begin = time.perf_counter()
        while time.perf_counter() - begin < seconds:
            (await http.post("/publish", content=message)).raise_for_status()
            await anyio.sleep(0.005)
        found = await load.ask("count")
        return float(found["messages"] / (time.perf_counter() - begin))
