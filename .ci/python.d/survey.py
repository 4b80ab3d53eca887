"""A session of the Python SDK, of either generation, that tries everything a server says it has. What it saw goes to stdout
as JSON, in the shape that the driver compares: the outcome of each step, and what the server sent by itself.

    survey.py http|sse URL [legacy|auto]
    survey.py stdio COMMAND [ARGUMENTS]
"""

import json
import os
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import version

import anyio
from mcp.client.sse import sse_client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from plan import GREETINGS, LARGE, LEFT_OUT, PARALLEL, arguments_for, cancelled_of, given

FIRST = version("mcp").startswith("1.")
STEP_SECONDS = 30

if FIRST:
    from mcp import ClientSession, types
    from pydantic import AnyUrl
else:
    import mcp_types as types
    from mcp.client.client import Client

INFO = types.Implementation(name="survey", version="1.0.0")


def plain(value):
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", by_alias=True, exclude_none=True)
    return value


def describe(error):
    if isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        return describe(error.exceptions[0])
    detail = plain(getattr(error, "error", None))
    return {"name": type(error).__name__, "message": str(error), **({"error": detail} if isinstance(detail, dict) else {})}


class Observer:
    def __init__(self):
        self.steps, self.inbound, self.methods = {}, {}, set()
        self.news = anyio.Event()

    async def step(self, name, method, run, note=None):
        events = []
        outcome = {"events": events}
        self.steps[name] = outcome
        self.methods.add(method)
        try:
            with anyio.fail_after(STEP_SECONDS):
                result = await (run(events.append) if note else run())
            outcome["result"] = plain(result)
            return result
        except Exception as error:  # an outcome like any other
            outcome["error"] = describe(error)
            return None

    def heard(self):
        """The methods of what the server sent. Without a handshake it asks from inside its results only."""
        return {method for method in self.inbound if method.startswith("notifications/") or "initialize" in self.methods}

    def note(self, method, params):
        self.inbound.setdefault(method, []).append(plain(params))
        self.news.set()
        self.news = anyio.Event()

    async def until(self, methods):
        with anyio.fail_after(STEP_SECONDS):
            while not all(method in self.inbound for method in methods):
                await self.news.wait()


class Answers:
    """What the client says to a server's own requests, each time the same."""

    def __init__(self, observer):
        self.observer = observer

    async def sample(self, _context, params):
        self.observer.note("sampling/createMessage", params)
        content = types.TextContent(type="text", text="Hello from the stub ☃")
        return types.CreateMessageResult(role="assistant", content=content, model="stub")

    async def elicit(self, _context, params):
        self.observer.note("elicitation/create", params)
        properties = plain(params).get("requestedSchema", {}).get("properties", {})
        return types.ElicitResult(action="accept", content={name: given(schema) for name, schema in properties.items()})

    async def roots(self, _context):
        self.observer.note("roots/list", None)
        return types.ListRootsResult(roots=[types.Root(uri="file:///tmp/one", name="One")])

    async def heard(self, message):
        inner = getattr(message, "root", message)
        method = getattr(inner, "method", "")
        if method.startswith("notifications/") and method not in ("notifications/progress", "notifications/cancelled"):
            self.observer.note(method, inner.params)


@asynccontextmanager
async def connected(transport, mode, answers):
    callbacks = {
        "sampling_callback": answers.sample,
        "elicitation_callback": answers.elicit,
        "list_roots_callback": answers.roots,
        "message_handler": answers.heard,
        "client_info": INFO,
    }
    if not FIRST:
        async with Client(transport, mode=mode, **callbacks) as client:
            yield client, {"version": client.protocol_version, "server": plain(client.server_info), "capabilities": plain(client.server_capabilities)}
        return
    async with AsyncExitStack() as stack:
        streams = await stack.enter_async_context(transport)
        session = await stack.enter_async_context(ClientSession(streams[0], streams[1], **callbacks))
        yield session, plain(await session.initialize())


async def tools(client, observer):
    listed = await observer.step("tools", "tools/list", client.list_tools)
    for tool in listed.tools if listed else []:
        if tool.name in LEFT_OUT:
            continue
        schema = plain(tool)["inputSchema"]

        async def call(note, name=tool.name, schema=schema):
            async def progress(done, total, message):
                # The last one may come together with the result, and is then dropped or not.
                if total is not None and done < total:
                    note({"progress": done, "total": total, "message": message})

            return await client.call_tool(name, arguments_for(name, schema), progress_callback=progress)

        await observer.step(f"tool {tool.name}", "tools/call", call, note=True)
    names = {tool.name for tool in listed.tools} if listed else set()
    await observer.step("unknown tool", "tools/call", lambda: client.call_tool("no-such-tool", {}))
    if "echo" in names:
        await large_and_parallel(client, observer)


async def large_and_parallel(client, observer):
    async def large():
        result = await client.call_tool("echo", {"message": "ü" * LARGE})
        return {"length": len(result.content[0].text)}

    async def parallel():
        results = [None] * PARALLEL

        async def one(number):
            results[number] = plain(await client.call_tool("echo", {"message": f"number {number}"}))

        async with anyio.create_task_group() as group:
            for number in range(PARALLEL):
                group.start_soon(one, number)
        return results

    await observer.step("large message", "tools/call", large)
    await observer.step("parallel calls", "tools/call", parallel)


async def prompts(client, observer):
    listed = await observer.step("prompts", "prompts/list", client.list_prompts)
    for prompt in listed.prompts if listed else []:
        arguments = {argument.name: "x" for argument in prompt.arguments or []}
        await observer.step(f"prompt {prompt.name}", "prompts/get", lambda name=prompt.name, given=arguments: client.get_prompt(name, given))
        for name in arguments:
            ref = types.PromptReference(type="ref/prompt", name=prompt.name)
            await observer.step(f"completion {prompt.name} {name}", "completion/complete", lambda ref=ref, name=name: client.complete(ref, {"name": name, "value": "S"}))
    await observer.step("unknown prompt", "prompts/get", lambda: client.get_prompt("no-such-prompt", {}))


async def resources(client, observer, is_legacy):
    address = AnyUrl if FIRST else str
    listed = await observer.step("resources", "resources/list", client.list_resources)
    await observer.step("templates", "resources/templates/list", client.list_resource_templates)
    for resource in listed.resources if listed else []:
        await observer.step(f"resource {resource.uri}", "resources/read", lambda uri=str(resource.uri): client.read_resource(address(uri)))
    await observer.step("unknown resource", "resources/read", lambda: client.read_resource(address("test://none")))
    if is_legacy and listed and listed.resources:
        uri = str(listed.resources[0].uri)
        await observer.step("subscribe", "resources/subscribe", lambda: client.subscribe_resource(address(uri)))
        await observer.step("unsubscribe", "resources/unsubscribe", lambda: client.unsubscribe_resource(address(uri)))


async def cancel(client, observer):
    """Cancels a call once it runs, and has the server say that it saw it if it can."""
    listed = observer.steps["tools"].get("result", {}).get("tools", [])
    chosen = cancelled_of({tool["name"] for tool in listed})
    if chosen is None:
        return
    name, arguments, witness = chosen["tool"], chosen.get("arguments", {}), chosen.get("witness")

    async def abandoned():
        async def begun(*_progress):
            if FIRST:
                # This generation tells nobody. Its next request will have the id after that of the call.
                params = types.CancelledNotificationParams(requestId=client._request_id - 1, reason="the survey is done with it")
                await client.send_notification(types.ClientNotification(types.CancelledNotification(params=params)))
            scope.cancel()

        with anyio.CancelScope() as scope:
            await client.call_tool(name, arguments, progress_callback=begun)
        return {"cancelled": scope.cancelled_caught}

    await observer.step("cancel", "tools/call", abandoned)
    if witness:
        await observer.step("the server saw the cancel", "tools/call", lambda: client.call_tool(witness, {}))


async def survey(transport, mode):
    observer = Observer()
    try:
        async with connected(transport, mode, Answers(observer)) as (client, handshake):
            observer.steps["connect"] = {"events": [], "result": handshake}
            is_legacy = (handshake.get("version") or handshake.get("protocolVersion")) < "2026-07-28"
            if is_legacy:
                observer.methods.update(["initialize", "notifications/initialized"])
                name = (handshake.get("server") or handshake.get("serverInfo"))["name"]
                await observer.until(GREETINGS.get(name, []))
                await observer.step("ping", "ping", client.send_ping)
                await observer.step("log level", "logging/setLevel", lambda: client.set_logging_level("info"))
            await tools(client, observer)
            await prompts(client, observer)
            await resources(client, observer, is_legacy)
            await cancel(client, observer)
            if is_legacy:
                await observer.step("ping at the end", "ping", client.send_ping)
    except Exception as error:
        observer.steps["end"] = {"events": [], "error": describe(error)}
    return {"steps": observer.steps, "inbound": observer.inbound, "methods": sorted(observer.methods | observer.heard())}


def transport_to(kind, *target):
    """What carries a session to a URL, or to a command."""
    if kind == "stdio":
        return stdio_client(StdioServerParameters(command=target[0], args=list(target[1:]), env=dict(os.environ)))
    return {"http": streamable_http_client, "sse": sse_client}[kind](target[0])


def main():
    kind, *rest = sys.argv[1:]
    mode = os.environ.get("SURVEY_MODE", "legacy") if kind == "stdio" else (rest[1:] or ["legacy"])[0]
    result = anyio.run(survey, transport_to(kind, *rest), mode)
    sys.stdout.write(json.dumps(result))


if __name__ == "__main__":
    main()
