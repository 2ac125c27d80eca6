"""A server that costs next to nothing: canned answers over a bare asyncio protocol, so that clients are what is measured.

`python -m benchmarks.server EVENTS` prints its port and serves until it is ended. A POST with `"stream": true` gets a stream of
EVENTS text deltas in chunks as a network would cut them; any other request gets one interaction as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys

_ID = "v1_ChdhUGxhaW5UZXh0VHVybjAwMDAwMDAwMRIXYVBsYWluVGV4dFR1cm4wMDAwMDAwMDE"
_USAGE = {
    "total_tokens": 46,
    "total_input_tokens": 8,
    "input_tokens_by_modality": [{"modality": "text", "tokens": 8}],
    "total_cached_tokens": 0,
    "total_output_tokens": 7,
    "total_tool_use_tokens": 0,
    "total_thought_tokens": 31,
}
_END = {
    "id": _ID,
    "status": "completed",
    "usage": _USAGE,
    "created": "2026-11-20T09:00:00Z",
    "updated": "2026-11-20T09:00:00Z",
    "service_tier": "standard",
    "object": "interaction",
    "model": "gemini-3.8-flash",
}
_STEPS = [
    {"type": "thought", "signature": "U0FNUExFLVNJR05BVFVSRS0wMQ=="},
    {"type": "model_output", "content": [{"type": "text", "text": "Hello there, how are you?"}]},
]


def _json_answer() -> bytes:
    body = json.dumps({**_END, "steps": _STEPS}).encode()
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def events(deltas: int) -> list[dict[str, object]]:
    """A stream of text deltas, as the API sends it."""
    created = {"id": _ID, "status": "in_progress", "object": "interaction", "model": "gemini-3.8-flash"}
    rows: list[dict[str, object]] = [
        {"interaction": created, "event_type": "interaction.created"},
        {"index": 0, "step": {"type": "model_output"}, "event_type": "step.start"},
    ]
    for number in range(deltas):
        delta = {"text": f"word {number} of the answer, ", "type": "text"}
        rows.append({"index": 0, "delta": delta, "event_type": "step.delta"})
    rows.append({"index": 0, "event_type": "step.stop"})
    rows.append({"interaction": _END, "event_type": "interaction.completed"})
    return rows


def sse(rows: list[dict[str, object]]) -> bytes:
    """Events as they stand on the wire."""
    frames = [f"event: {row['event_type']}\ndata: {json.dumps(row, separators=(',', ':'))}\n\n" for row in rows]
    return "".join([*frames, "event: done\ndata: [DONE]\n\n"]).encode()


def _stream_chunks(deltas: int) -> list[bytes]:
    body = sse(events(deltas))
    pieces = [body[start : start + 1_400] for start in range(0, len(body), 1_400)]  # about one TCP segment each
    chunks = [f"{len(piece):x}\r\n".encode() + piece + b"\r\n" for piece in pieces]
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    return [head, *chunks, b"0\r\n\r\n"]


class _Answer(asyncio.Protocol):
    unary: bytes
    stream: list[bytes]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, found, body = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = 0
        for line in head.split(b"\r\n")[1:]:
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        if len(body) < length:
            return
        self.buffer = body[length:]
        if b'"stream":true' in body.replace(b" ", b""):
            self.transport.writelines(self.stream)
        else:
            self.transport.write(self.unary)


async def serve(deltas: int) -> None:
    """Serves on a free port of 127.0.0.1 and prints it."""
    _Answer.unary = _json_answer()
    _Answer.stream = _stream_chunks(deltas)
    server = await asyncio.get_running_loop().create_server(_Answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
