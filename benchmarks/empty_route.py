"""An empty route of Starlette under uvicorn as the gateway runs it, to hold the gateway against. Prints its URL."""

import socket

import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


async def nothing(request: Request) -> Response:
    return Response()


async def main() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listener:
        print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        app = Starlette(routes=[Route("/", nothing)])
        await uvicorn.Server(uvicorn.Config(app, http="httptools", log_config=None, access_log=False)).serve([listener])


if __name__ == "__main__":
    uvloop.run(main())
