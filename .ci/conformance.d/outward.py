"""Runs a client of the suite, its path being the first argument, with pipes where it would dial HTTP: each URL becomes the
command `SHADOWCAT_BIN wrap --upstream URL`."""

import os
import runpy
import sys
from contextlib import asynccontextmanager
from importlib.metadata import version

from mcp.client.stdio import StdioServerParameters, stdio_client


def command(url):
    return StdioServerParameters(command=os.environ["SHADOWCAT_BIN"], args=["wrap", "--upstream", url], env=dict(os.environ))


if version("mcp").startswith("1."):
    from mcp.client import streamable_http

    @asynccontextmanager
    async def over_pipes(url, **_options):
        async with stdio_client(command(url)) as (read, write):
            yield read, write, lambda: None

    streamable_http.streamable_http_client = over_pipes
    streamable_http.streamablehttp_client = over_pipes
else:
    from mcp.client import client

    Dialled = client.Client
    client.Client = lambda server, **options: Dialled(command(server) if isinstance(server, str) else server, **options)

sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
