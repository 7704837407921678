"""The names and addresses of this machine, found without asking anybody else.

``socket.getfqdn()`` would ask name servers, which may take half a minute to time out. What is read here
is at hand: the host name, ``/etc/hosts``, the domain of ``/etc/resolv.conf``, and the interfaces.
"""

import ipaddress
import re
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

MAX_ADDRESSES = 32
"""Addresses of interfaces, at most: a host of containers may have thousands."""
MAX_INTERFACES = 1024

_HOSTS, _RESOLVER = Path("/etc/hosts"), Path("/etc/resolv.conf")
_INTERFACES_V6 = Path("/proc/net/if_inet6")
_MAX_FILE = 64 * 1024
_MAX_HOST_NAME = 253
_HOST_NAME = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9])?)*")
_SIOCGIFADDR = 0x8915
"""The request for the IPv4 address of an interface (Linux, netdevice(7))."""
_PASSING = 0x01 | 0x08 | 0x20 | 0x40
"""Flags of IPv6 addresses that are temporary, or not usable: duplicate, deprecated, tentative."""
_PROBES = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))
"""Addresses for documentation (RFC 5737, RFC 3849): which of ours would be used towards the outside."""


def names() -> tuple[str, ...]:
    """The host name, with its domain if that is known, and the addresses of the interfaces."""
    hosts = host_names(socket.gethostname(), _text(_HOSTS), _text(_RESOLVER))
    return (*hosts, *islice(dict.fromkeys(_usable()), MAX_ADDRESSES))


def host_names(own: str, hosts: str, resolver: str) -> tuple[str, ...]:
    """The names of a machine, without those that are not valid in a certificate.

    Args:
        own: its host name.
        hosts: the content of ``/etc/hosts``.
        resolver: the content of ``/etc/resolv.conf``.
    """
    own = own.lower().rstrip(".")
    candidates = [own]
    for line in hosts.lower().splitlines():
        listed = line.partition("#")[0].split()[1:]
        if own in listed:
            candidates += [name for name in listed if name.startswith(f"{own}.")]
    if "." not in own:
        candidates += [f"{own}.{domain}" for domain in _domains(resolver)]
    return tuple(dict.fromkeys(filter(_is_host_name, candidates)))


def _domains(resolver: str) -> Iterator[str]:
    """The domain of the machine: the first one that is searched for short names."""
    for line in resolver.lower().splitlines():
        keyword, *values = line.split() or [""]
        if keyword in ("search", "domain") and values:
            yield values[0].rstrip(".")
            return


def _is_host_name(name: str) -> bool:
    return len(name) <= _MAX_HOST_NAME and _HOST_NAME.fullmatch(name) is not None


def _usable() -> Iterator[str]:
    """The addresses that other machines can use; first those with which this one calls others."""
    for text in (*_outward(), *_interfaces_v4(), *interfaces_v6(_text(_INTERFACES_V6))):
        address = ipaddress.ip_address(text)
        if not (address.is_loopback or address.is_link_local or address.is_unspecified):
            yield str(address)


def _outward() -> Iterator[str]:
    for family, target in _PROBES:
        # A datagram socket is connected without sending anything.
        with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((target, 9))
            yield probe.getsockname()[0]


def _interfaces_v4() -> Iterator[str]:
    """Linux only: elsewhere the request has another number, and fails."""
    from fcntl import ioctl

    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex()[:MAX_INTERFACES]:
            request = struct.pack("40s", name.encode())
            with suppress(OSError):  # an interface without an address
                yield socket.inet_ntoa(ioctl(probe, _SIOCGIFADDR, request)[20:24])


def interfaces_v6(table: str) -> Iterator[str]:
    """The lasting global addresses in a table of Linux: address, index, length, scope, flags, name."""
    for line in table.splitlines():
        with suppress(ValueError):
            digits, _, _, scope, flags, _ = line.split()
            if int(scope, 16) == 0 and not int(flags, 16) & _PASSING:
                yield str(ipaddress.IPv6Address(int(digits, 16)))


def _text(path: Path) -> str:
    """The begin of a file; empty if there is none."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(_MAX_FILE)
    except OSError:
        return ""
