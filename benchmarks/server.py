"""A server that costs next to nothing: canned answers over a bare asyncio protocol, so that clients are what is measured.

`python -m benchmarks.server EVENTS` prints its port and serves until it is ended. A POST with `"stream": true` gets a stream of
EVENTS text deltas in chunks as a network would cut them; any other request gets one interaction as JSON. The streams of two other
APIs, by their paths, say the same text.
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


def words(count: int) -> list[str]:
    """The text of every stream, in its pieces."""
    return [f"word {number} of the answer, " for number in range(count)]


def events(deltas: int) -> list[dict[str, object]]:
    """A stream of text deltas, as the API sends it."""
    created = {"id": _ID, "status": "in_progress", "object": "interaction", "model": "gemini-3.8-flash"}
    rows: list[dict[str, object]] = [
        {"interaction": created, "event_type": "interaction.created"},
        {"index": 0, "step": {"type": "model_output"}, "event_type": "step.start"},
    ]
    rows += [
        {"index": 0, "delta": {"text": word, "type": "text"}, "event_type": "step.delta"} for word in words(deltas)
    ]
    rows.append({"index": 0, "event_type": "step.stop"})
    rows.append({"interaction": _END, "event_type": "interaction.completed"})
    return rows


def sse(rows: list[dict[str, object]]) -> bytes:
    """Events as they stand on the wire."""
    frames = [f"event: {row['event_type']}\ndata: {json.dumps(row, separators=(',', ':'))}\n\n" for row in rows]
    return "".join([*frames, "event: done\ndata: [DONE]\n\n"]).encode()


def generate_content(deltas: int) -> bytes:
    """The same text as generateContent streams it."""
    usage = {"promptTokenCount": 8, "candidatesTokenCount": 7, "totalTokenCount": 15}
    frames = []
    for number, word in enumerate(words(deltas)):
        candidate: dict[str, object] = {"content": {"parts": [{"text": word}], "role": "model"}, "index": 0}
        if number == deltas - 1:
            candidate["finishReason"] = "STOP"
        frames.append(
            {"candidates": [candidate], "usageMetadata": usage, "modelVersion": _END["model"], "responseId": "r"}
        )
    return "".join(f"data: {json.dumps(frame, separators=(',', ':'))}\r\n\r\n" for frame in frames).encode()


def responses(deltas: int) -> bytes:
    """The same text as OpenAI's Responses API streams it."""
    said = words(deltas)
    part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
    whole = {**part, "text": "".join(said)}
    done = {**item, "status": "completed", "content": [whole]}
    details = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
    response: dict[str, object] = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1_790_000_000,
        "status": "in_progress",
        "model": "gpt-9",
        "output": [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "temperature": 1.0,
        "top_p": 1.0,
    }
    usage = {"input_tokens": 8, "output_tokens": 7, "total_tokens": 15, **details}
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    rows: list[dict[str, object]] = [
        {"type": "response.created", "response": response},
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.content_part.added", **place, "part": part},
        *({"type": "response.output_text.delta", **place, "delta": word, "logprobs": []} for word in said),
        {"type": "response.output_text.done", **place, "text": whole["text"], "logprobs": []},
        {"type": "response.content_part.done", **place, "part": whole},
        {"type": "response.output_item.done", "output_index": 0, "item": done},
        {
            "type": "response.completed",
            "response": {**response, "status": "completed", "output": [done], "usage": usage},
        },
    ]
    frames = ({**row, "sequence_number": number} for number, row in enumerate(rows))
    return "".join(f"event: {f['type']}\ndata: {json.dumps(f, separators=(',', ':'))}\n\n" for f in frames).encode()


def _chunked(body: bytes) -> list[bytes]:
    pieces = [body[start : start + 1_400] for start in range(0, len(body), 1_400)]  # about one TCP segment each
    chunks = [f"{len(piece):x}\r\n".encode() + piece + b"\r\n" for piece in pieces]
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    return [head, *chunks, b"0\r\n\r\n"]


class _Answer(asyncio.Protocol):
    unary: bytes
    stream: list[bytes]
    others: dict[bytes, list[bytes]]

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
        path = head.partition(b"\r\n")[0].split()[1].partition(b"?")[0]
        if other := next((stream for end, stream in self.others.items() if path.endswith(end)), None):
            self.transport.writelines(other)
        elif b'"stream":true' in body.replace(b" ", b""):
            self.transport.writelines(self.stream)
        else:
            self.transport.write(self.unary)


async def serve(deltas: int) -> None:
    """Serves on a free port of 127.0.0.1 and prints it."""
    _Answer.unary = _json_answer()
    _Answer.stream = _chunked(sse(events(deltas)))
    _Answer.others = {
        b":streamGenerateContent": _chunked(generate_content(deltas)),
        b"/responses": _chunked(responses(deltas)),
    }
    server = await asyncio.get_running_loop().create_server(_Answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
