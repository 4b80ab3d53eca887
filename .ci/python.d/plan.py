"""What a survey tries with a server that it does not know. `survey.mjs` of the interop driver does the same."""

LARGE = 256 * 1024
PARALLEL = 20

#: Tools that go on after their call or never end, ask the network, or tell of the process they are in.
LEFT_OUT = {
    "get-env",
    "simulate-research-query",
    "slow",
    "wait",
    "await-cancelled",
    "toggle-simulated-logging",
    "toggle-subscriber-updates",
    "trigger-sampling-request-async",
    "trigger-elicitation-request-async",
}

#: What a server sends by itself once a session begins: other steps wait for it.
GREETINGS = {"mcp-servers/everything": ["roots/list", "notifications/message"]}

ARGUMENTS = {
    "trigger-long-running-operation": {"duration": 0.3, "steps": 3},
    "gzip-file-as-resource": {"name": "hello.gz", "data": "data:text/plain,hello", "outputType": "resourceLink"},
    "get-structured-content": {"location": "Chicago"},
    "trigger-url-elicitation": {"url": "https://example.com/consent", "elicitationId": "survey-1"},
}


def given(schema):
    """A value for a schema: the first that it names, or a small one of its type."""
    if schema.get("enum"):
        return schema["enum"][0]
    if "default" in schema:
        return schema["default"]
    for choice in (schema.get("oneOf") or schema.get("anyOf") or [])[:1]:
        return choice.get("const", given(choice))
    kind = schema.get("type")
    if kind == "string" and schema.get("format") == "email":
        return "ada@example.com"
    if kind == "string" and schema.get("format") == "uri":
        return "https://example.com/"
    if kind == "string" and schema.get("format") in ("date", "date-time"):
        return "2026-01-02" if schema["format"] == "date" else "2026-01-02T03:04:05Z"
    if kind == "array":
        items = schema.get("items", {})
        return [given(items)] * schema.get("minItems", 0)
    return {"string": "x", "integer": schema.get("minimum", 1), "number": schema.get("minimum", 1), "boolean": True}.get(kind, {})


def arguments_for(name, schema):
    if name in ARGUMENTS:
        return ARGUMENTS[name]
    properties = schema.get("properties", {})
    return {key: given(properties.get(key, {})) for key in schema.get("required", [])}

