"""The objects that a server has from the start of a test."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from kmipkit_client._sync.operations import Operations
from kmipkit_client.values import AttributesLike, symmetric_key

from kmipkit.model.objects import ManagedObject, PrivateKey, PublicKey, SymmetricKey
from kmipkit.spec.enums import RevocationReasonCode, State
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit_testing.pki import ADMIN


def _aes_256() -> SymmetricKey:
    return symmetric_key(os.urandom(32))


_USAGES: Mapping[type, CryptographicUsageMask] = MappingProxyType(
    {
        SymmetricKey: CryptographicUsageMask.ENCRYPT | CryptographicUsageMask.DECRYPT,
        PrivateKey: CryptographicUsageMask.SIGN,
        PublicKey: CryptographicUsageMask.VERIFY,
    }
)
"""What a key may be used for, unless it is said."""

Step = Callable[[Operations, str], Any]


def _activate(client: Operations, identifier: str) -> None:
    client.activate(identifier)


def _deactivate(client: Operations, identifier: str) -> None:
    client.revoke(identifier, RevocationReasonCode.CESSATION_OF_OPERATION)


def _compromise(client: Operations, identifier: str) -> None:
    client.revoke(identifier, RevocationReasonCode.KEY_COMPROMISE)


def _destroy(client: Operations, identifier: str) -> None:
    client.destroy(identifier)


_STEPS: Mapping[State, tuple[Step, ...]] = MappingProxyType(
    {
        State.PRE_ACTIVE: (),
        State.ACTIVE: (_activate,),
        State.DEACTIVATED: (_activate, _deactivate),
        State.COMPROMISED: (_compromise,),
        State.DESTROYED: (_destroy,),
        State.DESTROYED_COMPROMISED: (_compromise, _destroy),
    }
)
"""How an object that was registered gets into each state (KMIP 1.4 §3.22)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seed:
    """An object for a server: an active AES-256 key with random bytes, unless more is said."""

    name: str = field(kw_only=False)
    """Its Name."""
    object: ManagedObject = field(default_factory=_aes_256, kw_only=False)
    """The object itself; the functions of :mod:`kmipkit_client` make one."""
    state: State = State.ACTIVE
    owner: str = ADMIN
    """The account that has it."""
    usage: CryptographicUsageMask | None = None
    """By default, symmetric keys encrypt and decrypt, private keys sign, public keys verify."""
    attributes: AttributesLike | None = None
    """Further attributes, as for :meth:`kmipkit_client.Client.register`."""

    def plant(self, client: Operations) -> str:
        """Register the object and bring it into its state; its Unique Identifier.

        OperationFailed if the server refuses it.
        """
        identifier = client.register(
            self.object,
            usage=self.usage or _USAGES.get(type(self.object)),
            name=self.name,
            attributes=self.attributes,
        )
        for step in _STEPS[self.state]:
            step(client, identifier)
        return identifier
