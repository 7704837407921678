"""What a host needs to reach the key servers of a provider without vCenter.

vCenter gives it to vSAN hosts and to Trust Authority hosts: where the servers are, the provider's
client certificate with its private key, and which servers to trust. No other role gets it (R20).
"""

import ssl

from kmipkit_vsphere.model.certificates import load_pair, parse_certificate, to_der
from kmipkit_vsphere.model.keys import SecretText
from kmipkit_vsphere.model.message import Message, Port, Text
from kmipkit_vsphere.providers.key_server import TLSKeyServer
from kmipkit_vsphere.providers.kmip_session import KeyServer

_END = "-----END CERTIFICATE-----\n"


class ServerAddress(Message, array_like=True):
    """Name, address and port of a key server; a list as JSON."""

    name: Text
    address: Text
    port: Port


class KmipAccess(Message):
    """``trusted`` are PEM certificates: of the servers themselves if pinned, else authorities."""

    servers: tuple[ServerAddress, ...]
    certificate: str
    private_key: SecretText
    trusted: str
    is_pinned: bool

    def dial(self) -> list[KeyServer]:
        """The key servers, over TLS with this certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_verify_locations(cadata=self.trusted)
        pinned: frozenset[bytes] = frozenset()
        if self.is_pinned:
            context.check_hostname = False
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
            texts = [text + _END for text in self.trusted.split(_END) if text.strip()]
            pinned = frozenset(to_der(parse_certificate(text)) for text in texts)
        load_pair(context, self.certificate, self.private_key)
        return [
            TLSKeyServer(server.name, server.address, server.port, context, pinned)
            for server in self.servers
        ]
