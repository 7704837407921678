"""What somebody other than vCenter needs to reach the key servers of a provider.

vCenter gives it to vSAN hosts and to Trust Authority hosts: where the servers are, the provider's
client certificate with its private key, and whom to trust. Nobody else ever gets it (R20).
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from kmipkit_vsphere.model.certificates import load_pair, parse_certificate, to_der
from kmipkit_vsphere.model.keys import Secret
from kmipkit_vsphere.model.records import ServerRecord
from kmipkit_vsphere.providers.conversation import KeyServer
from kmipkit_vsphere.providers.key_server import TLSKeyServer

_END = "-----END CERTIFICATE-----\n"


@dataclass(frozen=True, slots=True)
class KmipAccess:
    """``trusted`` are PEM certificates: of the servers themselves if pinned, else authorities."""

    servers: tuple[ServerRecord, ...]
    certificate: str
    private_key: Secret
    trusted: str
    is_pinned: bool

    def to_json(self) -> dict[str, Any]:
        """For the channel to a host and its sealed configuration; never a log."""
        return {
            "servers": [[one.name, one.address, one.port] for one in self.servers],
            "certificate": self.certificate,
            "privateKey": self.private_key.reveal().decode(),
            "trusted": self.trusted,
            "isPinned": self.is_pinned,
        }

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_json` made."""
        return cls(
            tuple(ServerRecord(*one) for one in found["servers"]),
            found["certificate"],
            Secret(found["privateKey"].encode()),
            found["trusted"],
            bool(found["isPinned"]),
        )

    def dial(self) -> list[KeyServer]:
        """The key servers, over TLS with this certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_verify_locations(cadata=self.trusted)
        pinned: frozenset[bytes] = frozenset()
        if self.is_pinned:
            context.check_hostname = False
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
            texts = [one + _END for one in self.trusted.split(_END) if one.strip()]
            pinned = frozenset(to_der(parse_certificate(one)) for one in texts)
        load_pair(context, self.certificate, self.private_key)
        return [
            TLSKeyServer(one.name, one.address, one.port, context, pinned) for one in self.servers
        ]
