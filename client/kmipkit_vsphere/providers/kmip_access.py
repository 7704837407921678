"""What a host needs to reach the key servers of a provider without vCenter.

vCenter gives it to vSAN hosts and to Trust Authority hosts: where the servers are, the provider's
client certificate with its private key, user names and passwords, and which servers to trust. No
other role gets it (R20), and a host stores it only in its sealed configuration.
"""

import ssl

from kmipkit_vsphere.model.certificates import load_pair, parse_certificate, to_der
from kmipkit_vsphere.model.keys import Secret, SecretText
from kmipkit_vsphere.model.message import Message, Port, Text
from kmipkit_vsphere.providers.key_server import TLSKeyServer
from kmipkit_vsphere.providers.kmip_session import KeyServer, Login

_END = "-----END CERTIFICATE-----\n"


class ServerAddress(Message, array_like=True):
    """A key server as a host reaches it; a list as JSON.

    ``timeout`` is in seconds for one answer, None for the usual one. A server with a user name needs
    a password as well: without it, the server cannot be used (:meth:`problem`).
    """

    name: Text
    address: Text
    port: Port
    timeout: int | None = None
    user_name: Text | None = None
    password: SecretText | None = None

    def login(self) -> Login | None:
        """The user name and password to send, if the server has any."""
        return login(self.user_name, self.password)

    def problem(self) -> str | None:
        """What is wrong with the settings, None if nothing is."""
        return login_problem(self.user_name, self.password)


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
            TLSKeyServer(
                server.name,
                server.address,
                server.port,
                context,
                pinned,
                server.login(),
                server.timeout or None,
                server.problem(),
            )
            for server in self.servers
        ]


def login(user_name: str | None, password: Secret | None) -> Login | None:
    """The user name and password to send to a key server; None without either."""
    return Login(user_name, password) if user_name and password is not None else None


def login_problem(user_name: str | None, password: Secret | None) -> str | None:
    """Why a key server with this user name cannot be used, None if it can."""
    if not user_name or password is not None:
        return None
    return (
        f"the password of user {user_name} is missing; set it with update-key-server"
        " --password-file"
    )
