"""Keys on their way: wrapped with a key that both servers get for the time of the migration.

The source wraps each key with it, if it can (KMIP 1.4 §2.1.6), and the target unwraps it when it imports
the key. Where one of them cannot, the key is protected by TLS alone, which the report says. The wrapping
key is destroyed on both servers in the end; the journal has its identifiers, so that a further run
destroys those of one that was killed.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from kmipkit_client import symmetric_key
from kmipkit_client.errors import ClientError

from kmipkit.errors import Cause, LocalProtocolError, OperationError
from kmipkit.keys.parameters import Parameters
from kmipkit.keys.wrap import unwrap
from kmipkit.model.attributes import CryptographicParameters
from kmipkit.model.keyblock import (
    EncryptionKeyInformation,
    KeyBlock,
    KeyValue,
    KeyWrappingSpecification,
)
from kmipkit.model.objects import ManagedObject
from kmipkit.spec.enums import (
    BlockCipherMode,
    EncodingOption,
    RevocationReasonCode,
    WrappingMethod,
)
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.versions import V1_1
from kmipkit_migrate.journal import Journal
from kmipkit_migrate.rules import WRAPPING_KEY
from kmipkit_migrate.server import FAILURES, Server, reason_of

_MODES = (BlockCipherMode.NISTKEYWRAP, BlockCipherMode.AESKEYWRAPPADDING)
"""Keys of whole blocks by NIST key wrap, others with padding (RFC 3394, RFC 5649)."""


class Fetched(NamedTuple):
    """An object from the source."""

    value: ManagedObject
    is_wrapped: bool


@dataclass
class Transit:
    """The wrapping key, and where it is."""

    source: Server
    target: Server
    key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    at_source: str | None = None
    """Its identifier there; None if keys are not wrapped."""
    at_target: str | None = None
    """Its identifier there; None if keys are unwrapped here."""
    problem: str = ""
    """Why keys are not wrapped."""

    def fetch(self, identifier: str) -> Fetched:
        """An object, wrapped if that is possible. OperationFailed if the source does not give it."""
        for mode in _MODES if self.at_source is not None else ():
            with suppress(*FAILURES):
                value = self.source.client.get(identifier, wrapping=self._specification(mode))
                block = getattr(value, "key_block", None)
                if isinstance(block, KeyBlock) and block.key_wrapping_data is not None:
                    return Fetched(value, is_wrapped=self._is_ours(block))
        return Fetched(self.source.client.get(identifier), is_wrapped=False)

    def _is_ours(self, block: KeyBlock) -> bool:
        """Whether a key is wrapped with this key, and was not stored wrapped with another one."""
        data = block.key_wrapping_data
        information = None if data is None else data.encryption_key_information
        return information is not None and information.unique_identifier == self.at_source

    def _specification(self, mode: BlockCipherMode) -> KeyWrappingSpecification:
        assert self.at_source is not None
        return KeyWrappingSpecification(
            wrapping_method=WrappingMethod.ENCRYPT,
            encryption_key_information=EncryptionKeyInformation(
                unique_identifier=self.at_source,
                cryptographic_parameters=CryptographicParameters(block_cipher_mode=mode),
            ),
            encoding_option=EncodingOption.NO_ENCODING,
        )

    def for_target(self, value: ManagedObject) -> ManagedObject:
        """A wrapped object as the target unwraps it: with its identifier of the wrapping key."""
        assert self.at_target is not None
        block, wrapped, information = _parts(value)
        renamed = information.replace(unique_identifier=self.at_target)
        data = block.key_wrapping_data
        assert data is not None
        return value.replace(
            key_block=block.replace(
                key_value=wrapped,
                key_wrapping_data=data.replace(encryption_key_information=renamed),
            )
        )

    def unwrapped(self, value: ManagedObject) -> ManagedObject:
        """A wrapped object without its wrapping. LocalProtocolError if it was wrapped in
        another way."""
        block, wrapped, information = _parts(value)
        parameters = Parameters.of(information.cryptographic_parameters)
        try:
            plain = unwrap(self.key, parameters, wrapped)
        except OperationError as error:
            raise LocalProtocolError(
                f"the key cannot be unwrapped: {error}", cause=Cause.BAD_VALUE
            ) from None
        return value.replace(
            key_block=block.replace(key_wrapping_data=None, key_value=KeyValue(key_material=plain))
        )


def _parts(value: ManagedObject) -> tuple[KeyBlock, bytes, EncryptionKeyInformation]:
    """The key block of a wrapped object, the wrapped bytes, and what they are wrapped with."""
    block: KeyBlock = value.key_block  # type: ignore[union-attr]  # it is wrapped
    wrapped: object = block.key_value
    if isinstance(wrapped, KeyValue):  # as PyKMIP writes it
        wrapped = wrapped.key_material
    data = block.key_wrapping_data
    information = None if data is None else data.encryption_key_information
    if not isinstance(wrapped, bytes) or information is None:
        raise LocalProtocolError(
            "the source has wrapped the key in a form that is not understood", cause=Cause.BAD_VALUE
        )
    return block, wrapped, information


@contextmanager
def transit(source: Server, target: Server, journal: Journal, *, wraps: bool) -> Iterator[Transit]:
    """A wrapping key on both servers, as far as they take one; it is destroyed at the end."""
    opened = Transit(source, target)
    if not wraps:
        opened.problem = "wrapping was not asked for"
    elif source.version < V1_1:
        opened.problem = "KMIP 1.0 has no Encoding Option"
    else:
        _distribute(opened, journal)
    try:
        yield opened
    finally:
        destroy_all(source, target, journal)


def _distribute(opened: Transit, journal: Journal) -> None:
    name = f"{WRAPPING_KEY}{secrets.token_hex(8)}"
    journal.note_wrapping_key(name)
    try:
        opened.at_source = _store(opened.source, opened.key, name)
    except FAILURES as error:
        opened.problem = f"{opened.source.name} takes no wrapping key: {reason_of(error)}"
        return
    if opened.target.imports:
        with suppress(*FAILURES):
            opened.at_target = _store(opened.target, opened.key, name)


def _store(server: Server, key: bytes, name: str) -> str:
    usage = CryptographicUsageMask.WRAP_KEY | CryptographicUsageMask.UNWRAP_KEY
    identifier = server.client.register(symmetric_key(key), usage=usage, name=name)
    server.client.activate(identifier)
    return identifier


def destroy_all(source: Server, target: Server, journal: Journal) -> None:
    """Destroy the wrapping keys of this run, and of earlier ones that were killed."""
    for name in tuple(journal.wrapping_keys):
        are_destroyed = {_destroy(server, name) for server in (source, target)}
        if are_destroyed == {True}:
            journal.note_wrapping_key(name, is_destroyed=True)


def _destroy(server: Server, name: str) -> bool:
    """Destroy a wrapping key; whether there is none of it left."""
    try:
        identifiers = server.client.locate(name=name).ids
        for identifier in identifiers:
            with suppress(*FAILURES):  # it may not be active yet, or be revoked already
                server.client.revoke(identifier, RevocationReasonCode.CESSATION_OF_OPERATION)
            server.client.destroy(identifier)
    except (*FAILURES, ClientError):
        return False
    return True
