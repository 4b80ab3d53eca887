"""An addon for mitmdump: event streams pass as they come, and are kept for the archive all the same."""

from mitmproxy import http


def responseheaders(flow: http.HTTPFlow) -> None:
    if flow.response.headers.get("content-type", "").startswith("text/event-stream"):
        parts = []

        def keep(part: bytes) -> bytes:
            parts.append(part)
            return part

        flow.response.stream = keep
        flow.parts = parts


def response(flow: http.HTTPFlow) -> None:
    if hasattr(flow, "parts") and flow.response:
        flow.response.raw_content = b"".join(flow.parts)


error = response
