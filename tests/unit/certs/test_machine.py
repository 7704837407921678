"""A client that calls the server by a name of its machine finds this name in the first certificate."""

import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kmipkit_certs import machine
from kmipkit_certs.authority import alternative_names

HOSTS = """\
127.0.0.1 localhost
127.0.1.1 KMS.example.org kms  # Debian
192.0.2.9 other.example.org other kms2
"""


@pytest.mark.parametrize(
    ("own", "hosts", "resolver", "names"),
    [
        ("kms", HOSTS, "", ("kms", "kms.example.org")),
        ("kms", "", "nameserver 192.0.2.1\nsearch lab.example. b.example\n", ("kms", "kms.lab.example")),
        ("KMS.example.org.", "", "search lab.example\n", ("kms.example.org",)),
        ("kms", "", "search .\ndomain\n", ("kms",)),
        ("(none)", "", "", ()),
        ("", "127.0.0.1\n\n", "", ()),
        ("k" * 254, "", "", ()),
    ],
)  # fmt: skip
def test_the_names_of_a_machine(
    own: str, hosts: str, resolver: str, names: tuple[str, ...]
) -> None:
    assert machine.host_names(own, hosts, resolver) == names


@given(st.text(), st.text(), st.text())
def test_no_file_of_the_machine_makes_a_certificate_fail(
    own: str, hosts: str, resolver: str
) -> None:
    alternative_names(machine.host_names(own, f"::1 {own} {hosts}", f"search {resolver}"))


TABLE = """\
00000000000000000000000000000001 01 80 10 80       lo
20010db8000000000000000000000007 02 40 00 00     eth0
20010db80000000000000000000000aa 02 40 00 01     eth0
20010db80000000000000000000000bb 02 40 00 20     eth0
fe800000000000000000000000000001 02 40 20 80     eth0
nonsense
"""


def test_lasting_addresses_are_taken_and_passing_ones_are_not() -> None:
    """A temporary or deprecated address is gone long before the certificate ends."""
    assert list(machine.interfaces_v6(TABLE)) == ["2001:db8::7"]


def test_no_name_server_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(*_: object) -> None:
        raise AssertionError(
            "a name server that does not answer would keep the server from starting"
        )

    for name in ("getfqdn", "getaddrinfo", "gethostbyname", "gethostbyaddr", "gethostbyname_ex"):
        monkeypatch.setattr(socket, name, hang)
    names = machine.names()
    assert names
    assert len(set(names)) == len(names)
    alternative_names(names)


def test_a_machine_with_many_addresses_has_a_certificate_of_bounded_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    many = [str(ipaddress.ip_address("192.0.2.0") + number) for number in range(250)]
    monkeypatch.setattr(
        machine, "_interfaces_v4", lambda: iter([*many, "127.0.0.1", "169.254.1.1"])
    )
    monkeypatch.setattr(machine, "_outward", lambda: iter(["198.51.100.1"]))
    monkeypatch.setattr(socket, "gethostname", lambda: "kms")
    addresses = [name for name in machine.names() if name[0].isdigit()]
    assert addresses == ["198.51.100.1", *many[: machine.MAX_ADDRESSES - 1]]
