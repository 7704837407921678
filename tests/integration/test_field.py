"""What users of other servers ran into, over real connections; docs/field.md has the list."""

import ssl

import pytest
from kmipkit_client import calls, messages
from servers import RunningServer

from kmipkit.model.codec import encode
from kmipkit.spec.enums import QueryFunction
from kmipkit.spec.versions import V1_4

QUERY = encode(messages.request(V1_4, [calls.query((QueryFunction.QUERY_OPERATIONS,))]), V1_4)


def connect(server: RunningServer, version: ssl.TLSVersion) -> ssl.SSLSocket:
    """A connection with this version of TLS."""
    context = server.context()
    context.set_ciphers("ALL:@SECLEVEL=0")  # or OpenSSL itself refuses what is old
    context.minimum_version = context.maximum_version = version
    return context.wrap_socket(server.connect(), server_hostname="127.0.0.1")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_1_2_and_1_3_and_nothing_older(server: RunningServer, version: ssl.TLSVersion) -> None:
    """PyKMIP#719: no TLS 1.3. Products that follow PyKMIP still offer TLS 1.0."""
    with connect(server, version) as stream:
        assert stream.version() == {"TLSv1_2": "TLSv1.2", "TLSv1_3": "TLSv1.3"}[version.name]
        stream.sendall(QUERY)
        assert stream.recv(8)[:3] == b"\x42\x00\x7b"
    with pytest.warns(DeprecationWarning, match="TLSv1_1"), pytest.raises(ssl.SSLError):
        connect(server, ssl.TLSVersion.TLSv1_1)


def test_a_response_is_read_with_a_single_read(server: RunningServer) -> None:
    """libkmip reads the body of a response with one call, and takes what it gets for all of it."""
    with connect(server, ssl.TLSVersion.TLSv1_3) as stream:
        for _ in range(5):
            stream.sendall(QUERY)
            response = stream.recv(1 << 16)
            assert len(response) == 8 + int.from_bytes(response[4:8], "big") > 500
