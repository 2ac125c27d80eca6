"""Addresses that a command listens on. Serving an app there is `serving`'s."""

from __future__ import annotations

import argparse
import ipaddress
import os
import socket

__all__ = ["is_loopback", "listen", "port", "url_of"]


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises `OSError`."""
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


def url_of(listener: socket.socket) -> str:
    """Where it is reached."""
    host, number = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{number}"


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def port(text: str) -> int:
    """A port as argparse reads it."""
    if text.isascii() and text.isdigit() and int(text) < 65536:
        return int(text)
    raise argparse.ArgumentTypeError(f"a port is a number from 0 to 65535, not {text!r}")
