"""What a survey tries with a server that it does not know: `plan.json` of the interop driver, and here how arguments are
made up. `survey.mjs` of the driver does the same."""

import json
from pathlib import Path

PLAN = json.loads((Path(__file__).parent.parent / "interop.d" / "plan.json").read_text())

LARGE = PLAN["large"]
PARALLEL = PLAN["parallel"]

#: Tools that go on after their call or never end, ask the network, or tell of the process they are in.
LEFT_OUT = set(PLAN["leftOut"])

#: What a server sends by itself once a session begins: other steps wait for it.
GREETINGS = PLAN["greetings"]

ARGUMENTS = PLAN["arguments"]


def cancelled_of(names):
    """The call of a server with these tools that is cancelled: one that tells of progress first."""
    return next((entry for entry in PLAN["cancelled"] if {entry["tool"], entry.get("witness", entry["tool"])} <= names), None)


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

