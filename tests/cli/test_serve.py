"""`interactions-bridge serve` as a user starts it: a process on a socket."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from bridge.cli import main
from tests.http.process import COMMAND, serving


def call(url: str, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    """One request; the status and the decoded answer."""
    place = urlsplit(url)
    connection = http.client.HTTPConnection(str(place.hostname), place.port, timeout=20)
    try:
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def failed(*arguments: str, **environment: str) -> tuple[int, str]:
    """The exit status and the message of a `serve` that does not start."""
    done = subprocess.run(
        [str(COMMAND), "serve", *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, **environment},
        check=False,
    )
    assert done.stdout == ""
    return done.returncode, done.stderr


@pytest.mark.covers("cli:serve")
@pytest.mark.wheel
def test_it_prints_its_address_once_it_answers_and_ends_with_0() -> None:
    """A port of 0 is any free one; the real one is printed."""
    command = [str(COMMAND), "serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        url = line.rsplit(" ", 1)[1].strip()
        assert line.startswith("The Interactions API (local stand-in) is at http://127.0.0.1:")
        status, answer = call(url, "POST", "/v1/interactions", {"model": "m", "input": "Hello"})
        assert (status, answer["model"]) == (200, "local-m")
        process.send_signal(signal.SIGTERM)
        rest, errors = process.communicate(timeout=20)
    assert (process.returncode, rest, errors) == (0, "", "")


@pytest.mark.covers("cli:serve:restart")
def test_its_data_survives_a_restart_and_a_running_job_ends_failed(tmp_path: Path) -> None:
    """Stopped in the middle of a job that has an hour to go, and of a stream that follows it."""
    data = str(tmp_path / "data")
    job = {"model": "m", "input": "x", "background": True, "labels": {"local-delay-ms": "3600000"}}
    with serving("--data", data, "--test-controls") as (url, _):
        _, kept = call(url, "POST", "/v1/interactions", {"model": "m", "input": "Hello"})
        _, started = call(url, "POST", "/v1/interactions", job)
        place = urlsplit(url)
        following = socket.create_connection((place.hostname, place.port or 0), timeout=20)
        following.sendall(f"GET /v1/interactions/{started['id']}?stream=true HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert following.recv(100)
    rest = b""
    while part := following.recv(65536):
        rest += part
    following.close()
    assert b"interaction.completed" in rest
    assert b"[DONE]" in rest
    with serving("--data", data) as (url, _):
        assert call(url, "GET", f"/v1/interactions/{kept['id']}") == (200, kept)
        _, ended = call(url, "GET", f"/v1/interactions/{started['id']}")
        assert (ended["status"], ended["errors"][0]["code"]) == ("failed", "aborted")
        code, message = failed("--port", "0", "--data", data)
        assert (code, message.count("\n")) == (1, 1)
        assert f"{data!r} is in use by another process" in message


@pytest.mark.covers("cli:serve:key")
def test_a_key_is_needed_where_one_is_set() -> None:
    """From the environment, where no list of processes shows it."""
    with serving(key="the-key") as (url, process):
        assert call(url, "GET", "/v1/interactions/x")[0] == 401
        assert call(url, "GET", "/v1/interactions/x", **{"x-goog-api-key": "the-key"})[0] == 404
        assert "the-key" not in str(process.args)


@pytest.mark.covers("cli:serve:settings")
def test_retention_controls_and_switches_reach_the_service() -> None:
    """Each seen from outside."""
    with serving("--test-controls", "--retention", "3600", "--switch", "background_stream=false") as (url, _):
        body = {"model": "m", "input": "x", "labels": {"local-status": "incomplete"}}
        assert call(url, "POST", "/v1/interactions", body)[1]["status"] == "incomplete"
        status, answer = call(url, "POST", "/v1/interactions", {**body, "background": True, "stream": True})
        assert (status, answer["error"]["code"]) == (400, "invalid_request")


@pytest.mark.covers("cli:serve:refused")
def test_a_port_in_use_is_one_clear_line_and_status_1() -> None:
    """No traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, message = failed("--port", port)
    assert (code, message.count("\n")) == (1, 1)
    assert f"127.0.0.1 port {port}: Address already in use" in message


@pytest.mark.covers("cli:serve:refused")
@pytest.mark.parametrize(
    ("arguments", "fact"),
    [
        (["--host", "0.0.0.0"], "set a key with --api-key or INTERACTIONS_BRIDGE_API_KEY"),
        (["--host", "example.org"], "can be reached from other machines"),
        (["--switch", "nothing=true"], "there are: background_stream=true|false"),
        (["--port", "65536"], "a port is a number"),
        (["--port", "http"], "a port is a number"),
        (["--retention", "0"], "seconds above 0"),
        (["--retention", "soon"], "seconds above 0"),
    ],
)
def test_wrong_usage_is_refused_with_status_2(
    arguments: list[str], fact: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Above all: nothing that other machines reach without a key."""
    monkeypatch.delenv("INTERACTIONS_BRIDGE_API_KEY", raising=False)
    try:
        code = main(["serve", *arguments])
    except SystemExit as ended:  # argparse's own way
        code = int(str(ended.code))
    captured = capsys.readouterr()
    assert (code, captured.out) == (2, "")
    assert fact in captured.err
    assert "Traceback" not in captured.err


@pytest.mark.covers("cli:serve:refused")
def test_a_host_that_is_none_is_one_clear_line(capsys: pytest.CaptureFixture[str]) -> None:
    """An address this machine does not have."""
    assert main(["serve", "--host", "192.0.2.1", "--port", "0", "--api-key", "k"]) == 1
    assert "cannot listen on 192.0.2.1 port 0" in capsys.readouterr().err


@pytest.mark.covers("cli:serve:ipv6")
def test_it_listens_on_ipv6_too() -> None:
    """With the brackets an address needs."""
    with serving("--host", "::1") as (url, _):
        assert url.startswith("http://[::1]:")
        assert call(url, "GET", "/v1/interactions/x")[0] == 404


@pytest.mark.covers("cli:commands")
@pytest.mark.wheel
def test_the_command_line_helps_and_refuses(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a command, with an unknown one, with --help and --version."""
    for arguments, code, fact in (
        ([], 2, "COMMAND"),
        (["fly"], 2, "invalid choice: 'fly'"),
        (["--help"], 0, "serve"),
        (["serve", "--help"], 0, "--test-controls"),
        (["--version"], 0, "interactions-bridge "),
    ):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        captured = capsys.readouterr()
        assert ended.value.code == code
        assert fact in captured.out + captured.err
