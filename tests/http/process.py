"""`interactions-bridge serve` as the process a user starts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

COMMAND = Path(sys.executable).with_name("interactions-bridge")


@contextmanager
def serving(*arguments: str, key: str | None = None) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A running service: its address and its process. Stopped as Ctrl+C does, and then it must have ended well."""
    environment = {**os.environ, **({"INTERACTIONS_BRIDGE_API_KEY": key} if key else {})}
    command = [str(COMMAND), "serve", "--port", "0", "--json", *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, process.communicate()[1]
            yield json.loads(line)["url"], process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (0, "")
