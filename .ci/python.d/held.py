"""A session of the Python SDK, of either generation, whose calls wait in a proxy until somebody decides about them. What
became of each goes to stdout as JSON.

    held.py PLAN http|sse URL
    held.py PLAN stdio COMMAND [ARGUMENTS]

The plan is JSON: the `mode` of the client, the `long` tool that tells of its progress if there is one, and the `steps`, each a
call of `echo` with its name. A step takes so many `seconds` at most.
"""

import json
import sys

import anyio
from survey import Answers, Observer, connected, describe, plain, transport_to


async def outcome(call, seconds):
    try:
        with anyio.fail_after(seconds):
            result = plain(await call())
    except Exception as error:  # an outcome like any other
        return {"error": describe(error)}
    text = next((part.get("text") for part in result["content"]), None)
    return {"text": text, "isError": result.get("isError", False)}


async def session(plan, target):
    progress, outcomes = [], {}

    async def note(done, _total, _message):
        progress.append(done)

    try:
        async with connected(transport_to(*target), plan["mode"], Answers(Observer())) as (client, _handshake):
            if "long" in plan:
                name, arguments = plan["long"]
                await client.call_tool(name, arguments, progress_callback=note)
            for step in plan["steps"]:
                outcomes[step] = await outcome(lambda step=step: client.call_tool("echo", {"message": step}), plan["seconds"])
    except (Exception, BaseExceptionGroup) as error:  # what ends the client too
        left = [step for step in plan["steps"] if step not in outcomes]
        outcomes.update({step: {"error": describe(error)} for step in left[:1]})
        outcomes["end"] = {"error": describe(error)}
    return {"progress": progress, "outcomes": outcomes}


def main():
    plan = json.loads(sys.argv[1])
    sys.stdout.write(json.dumps(anyio.run(session, plan, sys.argv[2:])))


main()
