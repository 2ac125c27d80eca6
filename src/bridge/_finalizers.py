"""What is let go of when its owner is forgotten, wherever the garbage collector happens to run."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Callable
from typing import Any

__all__ = ["when_forgotten"]


def when_forgotten(owner: object, close: Callable[..., object], *arguments: Any) -> Callable[[], object]:
    """Calls `close` when `owner` is forgotten, or at the interpreter's end; or earlier, once, where what is returned is called.

    Inside an event loop, where the collector may run too, it is called in a thread of its own: closing blocks.
    """

    def apart() -> None:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            close(*arguments)
        else:
            threading.Thread(target=close, args=arguments, name="bridge-finalizer").start()

    return weakref.finalize(owner, apart)
