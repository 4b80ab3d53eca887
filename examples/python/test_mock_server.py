"""Tests of a program against a recording instead of a server.

    SHADOWCAT_BIN=shadowcat-tui python -m unittest test_mock_server.py     (pytest runs it too)

Needs `mcp` (version 1 or 2) and the program `shadowcat-tui`.
"""

import json
import os
import re
import subprocess
import unittest
from pathlib import Path
from threading import Thread

from mcp import ClientSession
from mcp.client.stdio import StdioServerParameters, stdio_client

try:
    from mcp import MCPError
    from mcp.client.streamable_http import streamable_http_client
except ImportError:  # version 1
    from mcp.client.streamable_http import streamablehttp_client as streamable_http_client
    from mcp.shared.exceptions import McpError as MCPError

PROGRAM = os.environ.get("SHADOWCAT_BIN", "shadowcat-tui")
RECORDINGS = Path(os.environ.get("RECORDINGS", Path(__file__).parents[2] / "recordings"))


class MockServer:
    """A recording that is served for as long as the `with` lasts. After it, `calls` has what was asked.

    Both pipes are read all the time: what does not fit into a pipe that nobody reads is left out.
    """

    def __init__(self, recording, *options):
        self.command = [PROGRAM, "replay", str(recording), "--listen", "127.0.0.1:0", "--headless", "--format", "json"]
        self.command += ["--log-level", "error", *options]

    def __enter__(self):
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "encoding": "utf-8"}
        self.process = subprocess.Popen(self.command, **pipes)
        for line in self.process.stderr:
            if found := re.search(r"listening on (http://\S+)", line):
                self.url = f"{found[1]}/mcp"
                break
        else:
            raise RuntimeError(f"it ended with code {self.process.wait()}")
        self.calls, self.left_out = [], 0
        self.readers = [Thread(target=self._take), Thread(target=self.process.stderr.read)]
        for reader in self.readers:
            reader.start()
        return self

    def _take(self):
        for line in self.process.stdout:
            call = json.loads(line)
            self.left_out += call.get("left_out", 0)
            if "method" in call:
                self.calls.append(call)

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(timeout=10)
        for reader in self.readers:
            reader.join()
        self.process.stdout.close()
        self.process.stderr.close()
        if self.left_out:
            raise RuntimeError(f"{self.left_out} requests are not in `calls`")


class AgainstARecording(unittest.IsolatedAsyncioTestCase):
    async def test_recorded_answers_come_over_http(self):
        with MockServer(RECORDINGS / "legacy-http.jsonl") as mock:
            async with streamable_http_client(mock.url) as streams, ClientSession(*streams[:2]) as session:
                agreed = await session.initialize()
                self.assertEqual(agreed.model_dump(by_alias=True)["protocolVersion"], "2025-11-25")
                answer = await session.call_tool("echo", {"message": "hello ☃"})
                self.assertEqual(answer.content[0].text, "Echo: hello ☃")
                with self.assertRaisesRegex(MCPError, "Not in the recording: tools/call `get-sum`"):
                    await session.call_tool("get-sum", {"a": 2, "b": 40})
        found = {(call["method"], call.get("subject")): call["found"] for call in mock.calls}
        self.assertEqual(found["tools/call", "echo"], "same")
        self.assertEqual(found["tools/call", "get-sum"], "missed")

    async def test_a_client_starts_the_recording_in_place_of_its_server(self):
        server = StdioServerParameters(command=PROGRAM, args=["replay", str(RECORDINGS / "wrap-legacy.jsonl"), "--stdio"])
        with open(os.devnull, "w") as nowhere:
            async with stdio_client(server, errlog=nowhere) as (reading, writing), ClientSession(reading, writing) as session:
                await session.initialize()
                answer = await session.call_tool("echo", {"message": "hello ☃"})
                self.assertEqual(answer.content[0].text, "Echo: hello ☃")


if __name__ == "__main__":
    unittest.main()
