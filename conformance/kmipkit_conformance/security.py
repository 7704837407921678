"""TLS as some profiles ask for it: protocol versions and cipher suites, as a table.

Most cases take what client and server agree on. The names are those by which an index of cases
calls its transports.
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Suite:
    """What a connection must be."""

    protocol: ssl.TLSVersion
    ciphers: frozenset[str]
    """OpenSSL's names of the suites that may be negotiated."""

    def restrict(self, context: ssl.SSLContext) -> None:
        """Offer nothing else."""
        context.minimum_version = context.maximum_version = self.protocol
        if self.protocol == ssl.TLSVersion.TLSv1_2:
            context.set_ciphers(":".join(sorted(self.ciphers)))

    def accepts(self, stream: ssl.SSLSocket) -> bool:
        """Whether that is what was negotiated; the suites of TLS 1.3 cannot be chosen before."""
        cipher = stream.cipher()
        return cipher is not None and cipher[0] in self.ciphers


SUITES: Mapping[str, Suite] = MappingProxyType(
    {
        "tls1.2 with Suite B (128) cipher suites": Suite(
            ssl.TLSVersion.TLSv1_2, frozenset({"ECDHE-ECDSA-AES128-GCM-SHA256"})
        ),
        "tls1.2 with Suite B (192) cipher suites": Suite(
            ssl.TLSVersion.TLSv1_2, frozenset({"ECDHE-ECDSA-AES256-GCM-SHA384"})
        ),
        "tls1.3 (Quantum Safe authentication suite)": Suite(
            ssl.TLSVersion.TLSv1_3,
            frozenset({"TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_256_GCM_SHA384"}),
        ),
    }
)
"""Suite B: KMIP Suite B Profile 1.0 §3; Quantum Safe: Profiles 2.1 §3.3."""
