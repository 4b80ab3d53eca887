"""The server that the Python SDK's own source package has for the conformance suite: over HTTP on a free port of the
loopback (it says which on stderr), or with `stdio` as its argument over that. It ends with its parent."""

import asyncio
import os
import sys
import threading
from importlib.metadata import version

import uvicorn

from mcp_everything_server import server as everything


class Announcing(uvicorn.Server):
    async def startup(self, sockets=None):
        await super().startup(sockets)
        port = self.servers[0].sockets[0].getsockname()[1]
        print(f"test server on port {port}", file=sys.stderr, flush=True)


def end_with_parent():
    sys.stdin.read()
    os._exit(0)


def http_app():
    if version("mcp").startswith("1."):
        return everything.mcp.streamable_http_app()
    return everything.mcp.streamable_http_app(event_store=everything.event_store, retry_interval=100)


def main():
    if sys.argv[1:] == ["stdio"]:
        everything.mcp.run("stdio")
        return
    threading.Thread(target=end_with_parent, daemon=True).start()
    config = uvicorn.Config(http_app(), host="127.0.0.1", port=0, log_level="warning")
    asyncio.run(Announcing(config).serve())


main()
