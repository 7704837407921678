"""The mechanisms by which a token wraps keys.

The root key stays in the token. What it wraps passes through the session, as an object that ends with
it.
"""

import os
from collections.abc import Mapping
from typing import Any, Protocol

from kmipkit_server.vault.base import IDENTIFIED, identifier_of
from kmipkit_server.vault.modules import Key, Session

NONCE_SIZE = 12
TAG_BITS = 128


class TokenMechanism(Protocol):
    """A mechanism; each error of a token is that of the package pkcs11."""

    name: str

    def mechanism(self) -> Any:
        """What the package calls it."""

    def identifier(self, session: Session, root: Key) -> str:
        """The identifier of the root key."""

    def wrap(self, session: Session, root: Key, key: bytes, /) -> bytes:
        """A key, wrapped with the root key."""

    def unwrap(self, session: Session, root: Key, wrapped: bytes, /) -> bytes:
        """The key from :meth:`wrap`."""


class KeyWrap:
    """AES key wrap with padding (RFC 5649): what a root key in a file does, too."""

    name = "AES_KEY_WRAP_PAD"

    def mechanism(self) -> Any:
        from pkcs11 import Mechanism

        return Mechanism.AES_KEY_WRAP_PAD

    def identifier(self, session: Session, root: Key) -> str:
        return identifier_of(self.wrap(session, root, IDENTIFIED))

    def wrap(self, session: Session, root: Key, key: bytes) -> bytes:
        import pkcs11

        attribute = pkcs11.Attribute
        passing = session.create_object(
            {
                attribute.CLASS: pkcs11.ObjectClass.SECRET_KEY,
                attribute.KEY_TYPE: pkcs11.KeyType.GENERIC_SECRET,
                attribute.VALUE: key,
                attribute.EXTRACTABLE: True,
                attribute.SENSITIVE: False,
                attribute.TOKEN: False,
            }
        )
        try:
            wrapped: bytes = root.wrap_key(passing, mechanism=self.mechanism())
            return wrapped
        finally:
            passing.destroy()

    def unwrap(self, _session: Session, root: Key, wrapped: bytes) -> bytes:
        import pkcs11

        attribute = pkcs11.Attribute
        passing = root.unwrap_key(
            pkcs11.ObjectClass.SECRET_KEY,
            pkcs11.KeyType.GENERIC_SECRET,
            wrapped,
            mechanism=self.mechanism(),
            store=False,
            template={attribute.EXTRACTABLE: True, attribute.SENSITIVE: False},
        )
        try:
            return bytes(passing[attribute.VALUE])
        finally:
            passing.destroy()


class GCM:
    """AES-GCM with a random nonce, for tokens that do not wrap."""

    name = "AES_GCM"

    def mechanism(self) -> Any:
        from pkcs11 import Mechanism

        return Mechanism.AES_GCM

    def identifier(self, session: Session, root: Key) -> str:
        # With a random nonce, no two results are equal: what the token calls the key identifies it.
        label = str(root.label).encode()
        return identifier_of(b"\0".join((bytes(session.token.serial), bytes(root.id), label)))

    def wrap(self, _session: Session, root: Key, key: bytes) -> bytes:
        nonce = os.urandom(NONCE_SIZE)
        sealed: bytes = root.encrypt(key, mechanism=self.mechanism(), mechanism_param=_gcm(nonce))
        return nonce + sealed

    def unwrap(self, _session: Session, root: Key, wrapped: bytes) -> bytes:
        nonce, sealed = wrapped[:NONCE_SIZE], wrapped[NONCE_SIZE:]
        key: bytes = root.decrypt(sealed, mechanism=self.mechanism(), mechanism_param=_gcm(nonce))
        return key


def _gcm(nonce: bytes) -> Any:
    from pkcs11 import GCMParams

    return GCMParams(nonce, b"", TAG_BITS)


MECHANISMS: Mapping[str, TokenMechanism] = {each.name: each for each in (KeyWrap(), GCM())}
"""What a token may do to wrap a key; the first one that it has is used."""
