"""Put on the path of a process, it keeps that process on this machine: a connection to any other is refused, and named on stderr."""

import ipaddress
import socket
import sys

_connect, _connect_ex = socket.socket.connect, socket.socket.connect_ex


def _refuse(connection, address):
    if connection.family in (socket.AF_INET, socket.AF_INET6) and not ipaddress.ip_address(address[0]).is_loopback:
        print(f"OFFLINE: refused {address[0]}", file=sys.stderr, flush=True)
        raise ConnectionRefusedError(f"{address[0]} is not this machine")


def _getaddrinfo(host, *arguments, _asked=socket.getaddrinfo, **named):
    if host not in (None, "", "127.0.0.1", "::1", "localhost", "0.0.0.0"):
        print(f"OFFLINE: refused {host}", file=sys.stderr, flush=True)
        raise socket.gaierror(f"{host} is not this machine")
    return _asked(host, *arguments, **named)


def connect(self, address):
    _refuse(self, address)
    return _connect(self, address)


def connect_ex(self, address):
    _refuse(self, address)
    return _connect_ex(self, address)


socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo = connect, connect_ex, _getaddrinfo
