"""TLS as some profiles require it: protocol versions and cipher suites, as a table.

Most cases accept whatever client and server negotiate.
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Suite:
    """The TLS version and cipher suites that a profile permits."""

    protocol: ssl.TLSVersion
    ciphers: frozenset[str]
    """The permitted cipher suites, by their names in OpenSSL."""

    def restrict(self, context: ssl.SSLContext) -> None:
        """Let the context offer nothing else."""
        context.minimum_version = context.maximum_version = self.protocol
        if self.protocol == ssl.TLSVersion.TLSv1_2:
            context.set_ciphers(":".join(sorted(self.ciphers)))

    def accepts(self, stream: ssl.SSLSocket) -> bool:
        """Whether a permitted suite was negotiated; those of TLS 1.3 cannot be selected beforehand."""
        cipher = stream.cipher()
        return cipher is not None and cipher[0] in self.ciphers


SUITE_B_128 = "Suite B at 128 bits"
SUITE_B_192 = "Suite B at 192 bits"
QUANTUM_SAFE = "the Quantum Safe authentication suite"

SUITES: Mapping[str, Suite] = MappingProxyType(
    {
        SUITE_B_128: Suite(ssl.TLSVersion.TLSv1_2, frozenset({"ECDHE-ECDSA-AES128-GCM-SHA256"})),
        SUITE_B_192: Suite(ssl.TLSVersion.TLSv1_2, frozenset({"ECDHE-ECDSA-AES256-GCM-SHA384"})),
        QUANTUM_SAFE: Suite(
            ssl.TLSVersion.TLSv1_3,
            frozenset({"TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_256_GCM_SHA384"}),
        ),
    }
)
"""Suite B: KMIP Suite B Profile 1.0 §3; Quantum Safe: Profiles 2.1 §3.3."""
