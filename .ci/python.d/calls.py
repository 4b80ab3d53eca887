"""Calls tools with the Python SDK, of either generation, and prints what came of each as JSON.

    calls.py URL legacy|auto '[{"name": …, "arguments": {…}}, …]'
"""

import json
import sys

import anyio
from survey import Answers, Observer, connected, describe, plain, transport_to

STEP_SECONDS = 30


async def calls(url, mode, wanted):
    outcomes = []
    try:
        async with connected(transport_to("http", url), mode, Answers(Observer())) as (client, _):
            for call in wanted:
                try:
                    with anyio.fail_after(STEP_SECONDS):
                        result = plain(await client.call_tool(call["name"], call["arguments"]))
                    outcomes.append({"content": result["content"]})
                except Exception as error:  # an outcome like any other
                    outcomes.append({"error": describe(error)["message"]})
    except Exception as error:
        return {"end": describe(error)["message"], "outcomes": outcomes}
    return {"outcomes": outcomes}


if __name__ == "__main__":
    url, mode, wanted = sys.argv[1:]
    sys.stdout.write(json.dumps(anyio.run(calls, url, mode, json.loads(wanted))))
