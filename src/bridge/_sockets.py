"""Sockets that servers of ours listen on."""

from __future__ import annotations

import os
import socket

__all__ = ["listen"]


def listen(host: str = "127.0.0.1", port: int = 0) -> socket.socket:
    """A socket that listens, by default on any free port of this machine. Raises `OSError`.

    Not one of `socket.create_server`: asyncio leaves Nagle's algorithm on where a socket does not say that it is of TCP, and then each
    answer of a server comes 40 ms late.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        if os.name != "nt":  # there the option would let two servers share the port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(socket.SOMAXCONN)
    except BaseException:
        listener.close()
        raise
    return listener
