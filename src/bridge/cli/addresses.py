"""Addresses that a command listens on. Serving an app there is `serving`'s."""

from __future__ import annotations

import argparse
import ipaddress
import socket

__all__ = ["is_loopback", "port", "url_of"]


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
