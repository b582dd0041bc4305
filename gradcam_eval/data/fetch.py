"""Fetch one file over http or https from a public address, within a time and a size."""

from __future__ import annotations

import http.client
import io
import ipaddress
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from gradcam_eval.core import InputError

MAX_BYTES = 32 * 1024**2
MAX_REDIRECTS = 5

_REDIRECTS = (301, 302, 303, 307, 308)
_PORTS = {"http": 80, "https": 443}


def is_public(address: str) -> bool:
    """Return whether an IP address is an ordinary one of the public internet.

    Private, loopback, link-local, multicast, reserved and unspecified addresses are not, nor are
    IPv6 addresses that carry such an IPv4 address inside.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is not None:
            return is_public(str(inner))
        if ip.is_site_local:
            return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)


def resolve(host: str, port: int) -> list[str]:
    """Return every address of a host, as the system gives them."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@dataclass(frozen=True)
class Network:
    """How names become addresses and which addresses are allowed; tests put their own here."""

    resolve: Callable[[str, int], list[str]] = resolve
    is_allowed: Callable[[str], bool] = is_public


SYSTEM = Network()


def fetch(
    url: str, *, timeout: float = 10.0, max_bytes: int = MAX_BYTES, network: Network = SYSTEM
) -> bytes:
    """Return the body that an http or https URL answers with.

    Parameters
    ----------
    url : the address, without a user name or password
    timeout : seconds for everything together, redirects included
    max_bytes : the largest body accepted, counted as it arrives
    network : name look-up and address check

    Returns
    -------
    bytes, at most `max_bytes`

    Raises
    ------
    InputError
        If the URL is unsuitable, one of its addresses is not public, it redirects more than
        `MAX_REDIRECTS` times, or the answer fails, is too slow, too large or cut short.

    Notes
    -----
    *Every* address of the host is checked, and the connection goes to a checked address, so a name
    that resolves differently a moment later changes nothing. Proxies are not used: a proxy would
    look the name up again. The system's own name look-up cannot be interrupted; its time counts.
    """
    deadline = time.monotonic() + timeout
    here = url
    try:
        for _ in range(MAX_REDIRECTS + 1):
            answer = _get(_parse(here, url), deadline, max_bytes, network)
            if isinstance(answer, bytes):
                return answer
            here = _follow(here, answer)
    except InputError as error:
        raise InputError(f"{_without_secret(url)} cannot be fetched: {error}") from error
    except TimeoutError as error:
        raise InputError(
            f"{url} cannot be fetched: it took longer than {timeout:g} s; "
            "try again, or download the file and give its path."
        ) from error
    except (OSError, http.client.HTTPException) as error:
        raise InputError(
            f"{url} cannot be fetched ({error}): download the file and give its path."
        ) from error
    raise InputError(
        f"{url} cannot be fetched: it redirects more than {MAX_REDIRECTS} times; "
        "give the final address."
    )


def _without_secret(url: str) -> str:
    """Return the URL as an error may show it: what stands before an @ is left out."""
    scheme, mark, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{mark}{host.rpartition('@')[2]}{slash}{path}"


def _parse(here: str, first: str) -> SplitResult:
    try:
        parts = urlsplit(here)
        has_port = parts.port != 0
    except ValueError as error:
        raise InputError(f"it is not a valid URL ({error}); give http://… or https://….") from error
    if parts.scheme not in _PORTS or not parts.hostname or not has_port:
        raise InputError("it is not a web address; give http://… or https://….")
    if parts.username is not None or parts.password is not None:
        raise InputError("it holds a user name or password; leave them out.")
    if parts.scheme == "http" and first.lower().startswith("https:"):
        raise InputError("it redirects from https to http; give an address that stays on https.")
    return parts


def _follow(here: str, location: str) -> str:
    try:
        return urljoin(here, location)
    except ValueError as error:
        raise InputError(f"it redirects to an invalid URL ({error}); give another.") from error


def _get(parts: SplitResult, deadline: float, max_bytes: int, network: Network) -> bytes | str:
    """Ask once: return the body, or where a redirect points to."""
    with _connect(parts, deadline, network) as connection:
        connection.settimeout(_left(deadline))
        connection.sendall(_request(parts))
        response = http.client.HTTPResponse(cast(Any, _Answer(connection, deadline)), method="GET")
        response.begin()
        location = response.getheader("Location")
        if response.status in _REDIRECTS and location:
            return location
        if response.status != 200:
            raise InputError(f"the server answered {response.status} {response.reason}; check it.")
        return _read(response, max_bytes)


def _connect(parts: SplitResult, deadline: float, network: Network) -> socket.socket:
    host = _ascii_host(parts)
    port = parts.port or _PORTS[parts.scheme]
    addresses = network.resolve(host, port)
    refused = [address for address in addresses if not network.is_allowed(address)]
    if refused or not addresses:
        found = f"the address {refused[0]}, which is not public" if refused else "no address"
        raise InputError(f"{host} has {found}; give a public address, or the path of a file.")
    connection = _dial(addresses, port, deadline)
    if parts.scheme == "http":
        return connection
    try:
        connection.settimeout(_left(deadline))  # a limit on the whole handshake
        return ssl.create_default_context().wrap_socket(connection, server_hostname=host)
    except BaseException:
        connection.close()
        raise


def _dial(addresses: list[str], port: int, deadline: float) -> socket.socket:
    """Connect to the first address that answers; every one of them has been checked."""
    for address in addresses[:-1]:
        try:
            return socket.create_connection((address, port), _left(deadline) / 2)
        except OSError:
            continue
    return socket.create_connection((addresses[-1], port), _left(deadline))


def _ascii_host(parts: SplitResult) -> str:
    host = parts.hostname or ""
    try:
        return host if ":" in host else host.encode("idna").decode("ascii")
    except UnicodeError as error:
        raise InputError(f"{host!r} is not a valid host name; check it.") from error


def _request(parts: SplitResult) -> bytes:
    host = _ascii_host(parts)
    host = f"[{host}]" if ":" in host else host
    if parts.port not in (None, _PORTS[parts.scheme]):
        host += f":{parts.port}"
    target = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~")
    if parts.query:
        target += "?" + quote(parts.query, safe="/%:@!$&'()*+,;=~?")
    lines = (
        f"GET {target} HTTP/1.1",
        f"Host: {host}",
        "User-Agent: gradcam-eval",
        "Accept: image/*, */*;q=0.5",
        "Accept-Encoding: identity",
        "Connection: close",
    )
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


def _read(response: http.client.HTTPResponse, max_bytes: int) -> bytes:
    body = bytearray()
    while chunk := response.read1(65536):
        body += chunk
        if len(body) > max_bytes:
            raise InputError(f"it is larger than {max_bytes} bytes; give a smaller file.")
    if response.length:  # what Content-Length promised and did not come
        raise InputError("the answer was cut short; try again.")
    return bytes(body)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


@dataclass(frozen=True)
class _Answer:
    """The part of a socket that `HTTPResponse` uses."""

    connection: socket.socket
    deadline: float

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Incoming(self.connection, self.deadline))


class _Incoming(io.RawIOBase):
    """What arrives before the deadline: a server that drips bytes cannot stretch a time-out."""

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self._connection, self._deadline = connection, deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._connection.settimeout(_left(self._deadline))
        return self._connection.recv_into(buffer)
