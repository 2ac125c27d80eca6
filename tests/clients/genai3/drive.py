"""Drives a running service with the official SDK, unmodified, and prints what it saw as one JSON object.

Runs in whatever environment holds a google-genai: `python drive.py URL`. What it prints is judged by the test that starts it.
"""

from __future__ import annotations

import base64
import hmac
import http.server
import json
import queue
import sys
import threading
import time
import warnings

warnings.filterwarnings("ignore")

from google import genai  # noqa: E402

try:  # where the SDK keeps its exceptions of this API
    from google.genai import _interactions as errors
except ImportError:
    from google.genai._gaos.lib import compat_errors as errors

TOOL = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather of a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
MODEL = "gemini-3.8-flash"
AGENT = "antigravity-preview-09-2026"


def create(client):
    first = client.interactions.create(model=MODEL, input="The budget is 500.")
    second = client.interactions.create(
        model=MODEL, input="What did I say the budget is?", previous_interaction_id=first.id
    )
    again = client.interactions.get(second.id)
    return {
        "id": first.id,
        "model": first.model,
        "status": first.status,
        "text": second.output_text,
        "same": again.output_text == second.output_text,
        "tokens": second.usage.total_tokens,
        "input": client.interactions.get(second.id, include_input=True).steps[0].type,
    }


def stream(client):
    events = list(client.interactions.create(model=MODEL, input="Hello there.", stream=True))
    return {
        "kinds": [event.event_type for event in events],
        "text": "".join(e.delta.text for e in events if e.event_type == "step.delta" and e.delta.type == "text"),
        "status": events[-1].interaction.status,
    }


def functions(client):
    asked = client.interactions.create(
        model=MODEL, input='Call get_weather with city="Oslo" and get_weather with city="Rome"', tools=[TOOL]
    )
    calls = [step for step in asked.steps if step.type == "function_call"]
    results = [
        {"type": "function_result", "call_id": call.id, "name": call.name, "result": {"celsius": 7 + number}}
        for number, call in enumerate(calls)
    ]
    done = client.interactions.create(model=MODEL, input=results, previous_interaction_id=asked.id, tools=[TOOL])
    return {
        "status": asked.status,
        "arguments": [call.arguments for call in calls],
        "after": done.status,
        "text": done.output_text,
    }


def background(client):
    started = client.interactions.create(
        model=MODEL, input="Take your time.", background=True, labels={"local-steps": "4", "local-delay-ms": "400"}
    )
    polls = 0
    while (polled := client.interactions.get(started.id)).status in ("queued", "in_progress"):
        polls += 1
        time.sleep(0.05)
    whole = list(client.interactions.get(started.id, stream=True))
    rest = list(client.interactions.get(started.id, stream=True, last_event_id=whole[3].event_id))
    return {
        "first": started.status,
        "last": polled.status,
        "steps": len(polled.steps),
        "polled": polls > 0,
        "resumed": [e.event_id for e in rest] == [e.event_id for e in whole[4:]],
    }


def resumed(client):
    """A stream that breaks off, and the rest of it."""
    labels = {"local-drop-after": "5"}
    seen = []
    try:
        for event in client.interactions.create(
            model=MODEL, input="A long answer, please.", background=True, stream=True, labels=labels
        ):
            seen.append(event)  # noqa: PERF402 - what came before the cut counts
    except Exception as error:  # the SDK passes the transport's own error on
        broke = type(error).__name__
    else:
        broke = ""
    rest = client.interactions.get(seen[0].interaction.id, stream=True, last_event_id=seen[-1].event_id)
    kinds = [event.event_type for event in rest]
    return {"seen": len(seen), "broke": broke, "last": kinds[-1]}


def cancel(client):
    started = client.interactions.create(
        model=MODEL, input="Wait.", background=True, labels={"local-delay-ms": "600000"}
    )
    cancelled = client.interactions.cancel(started.id)
    return {"status": cancelled.status, "got": client.interactions.get(started.id).status}


def delete(client):
    turn = client.interactions.create(model=MODEL, input="Forget me.")
    client.interactions.delete(turn.id)
    return {"error": failure(lambda: client.interactions.get(turn.id))}


def environments(client):
    made = client.environments.create(sources=[{"type": "inline", "target": "/workspace/a.txt", "content": "hi"}])
    client.environments.files.upload(
        environment=made.id, path="sales.csv", file=b"region,units\nnorth,3\nnorth,4\nsouth,5\n", overwrite=True
    )
    client.environments.files.upload(environment=made.id, path="notes/a b.txt", file=b"spaced")
    large = b"0123456789" * 1_000_000  # beyond one piece of the SDK's
    client.environments.files.upload(environment=made.id, path="notes/large.bin", file=large)
    turn = client.interactions.create(
        agent=AGENT, input="Analyse /workspace/sales.csv: total units by region?", environment=made.id
    )
    names = [file.path for file in client.environments.files.list(environment=made.id, path="").files]
    report = client.environments.files.download(environment=made.id, path="workspace/report.md")
    listed = [environment.id for environment in client.environments.list().environments]
    got = client.environments.get(made.id)
    seen = {
        "same": turn.environment_id == made.id,
        "agent": turn.agent,
        "steps": [step.type for step in turn.steps],
        "text": turn.output_text,
        "names": names,
        "report": len(report),
        "spaced": client.environments.files.download(environment=made.id, path="notes/a b.txt").decode(),
        "large": client.environments.files.download(environment=made.id, path="notes/large.bin") == large,
        "listed": made.id in listed,
        "files": int(got.file_count),
    }
    client.environments.delete(made.id)
    return {**seen, "gone": failure(lambda: client.environments.get(made.id))}


def agents(client):
    made = client.agents.create(
        id="reviewer", base_agent=AGENT, system_instruction="Review.", tools=[{"type": "code_execution"}]
    )
    got = client.agents.get("reviewer")
    listed = [agent.id for agent in client.agents.list().agents]
    conflict = failure(lambda: client.agents.create(id="reviewer", base_agent=AGENT))
    turn = client.interactions.create(agent="reviewer", input="Hello.", environment="remote")
    client.agents.delete("reviewer")
    return {
        "made": made.id,
        "instruction": got.system_instruction,
        "listed": listed,
        "conflict": conflict,
        "agent": turn.agent,
        "status": turn.status,
        "gone": failure(lambda: client.agents.get("reviewer")),
    }


def refusals(client):
    create = client.interactions.create
    return {
        "bad_request": failure(lambda: create(model=MODEL, input="x", tools=[{"type": "google_search"}])),
        "not_found": failure(lambda: create(model=MODEL, input="x", previous_interaction_id="v1_none")),
        "limited": failure(lambda: create(model=MODEL, input="limit", labels={"local-http": "403"})),
        "retried": create(model=MODEL, input="retry", labels={"local-http": "503"}).status,
    }


def failure(call):
    """The SDK's exception of a call and what it carries."""
    try:
        call()
    except errors.APIStatusError as error:
        return [type(error).__name__, error.status_code, error.body["error"]["code"]]
    return None


def webhooks(client):
    got = queue.Queue()

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            got.put((dict(self.headers), self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    uri = f"http://127.0.0.1:{server.server_port}/hook"
    made = client.webhooks.create(uri=uri, subscribed_events=["interaction.completed"], name="jobs")
    client.webhooks.ping(id=made.id)
    ping = json.loads(got.get(timeout=20)[1])
    started = client.interactions.create(model=MODEL, input="hi", background=True)
    headers, body = got.get(timeout=20)
    key = base64.b64decode(made.new_signing_secret.removeprefix("whsec_"))
    headers = {name.lower(): value for name, value in headers.items()}
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    signature = "v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
    rotated = client.webhooks.rotate_signing_secret(
        id=made.id, revocation_behavior="revoke_previous_secrets_immediately"
    )
    changed = client.webhooks.update(id=made.id, update_mask="state", state="disabled", name="other")
    listed = client.webhooks.list(page_size=1)
    read = client.webhooks.get(id=made.id)
    client.webhooks.delete(id=made.id)
    server.shutdown()
    return {
        "made": [made.name, made.uri == uri, made.state, made.create_time is not None],
        "ping": ping["type"],
        "told": [json.loads(body)["type"], json.loads(body)["data"] == {"id": started.id}],
        "signed": headers["webhook-signature"] == signature,
        "rotated": rotated.secret not in (None, made.new_signing_secret),
        "changed": [changed.name, changed.state],
        "listed": [webhook.id == made.id for webhook in listed.webhooks],
        "shown": [read.new_signing_secret, len(read.signing_secrets)],
        "gone": failure(lambda: client.webhooks.get(id=made.id)),
    }


def main(url: str) -> None:
    client = genai.Client(api_key="the-key", http_options={"base_url": url})
    parts = (create, stream, functions, background, resumed, cancel, delete, environments, agents, webhooks, refusals)
    print(json.dumps({"version": genai.__version__, **{part.__name__: part(client) for part in parts}}, default=str))


if __name__ == "__main__":
    main(sys.argv[1])
