"""Register of a Private Key in the format PKCS#12 (KMIP 1.4 §3.45, §11.4; KMIP 2.1 §4.39).

The server opens the container with the password to which the PKCS#12 Password Link leads. It stores
the key as PKCS#8, and each certificate as an object of its own, with a chain of PKCS#12 Certificate
Links that starts at the key: this is what Get with the format PKCS#12 puts together again.
"""

from kmipkit.errors import OperationError
from kmipkit.keys import costs, pkcs12
from kmipkit.lifecycle import describe_state
from kmipkit.model.attribute import Attribute, Attributes
from kmipkit.model.attributes import Link
from kmipkit.model.keyblock import KeyBlock, KeyValue
from kmipkit.model.objects import Certificate, PrivateKey, SecretData
from kmipkit.spec.enums import (
    CertificateType,
    KeyFormatType,
    LinkType,
    ObjectType,
    ResultReason,
    SecretDataType,
    State,
)
from kmipkit.spec.tags import Tag
from kmipkit_server.engine.call import Call
from kmipkit_server.keys.material import key_bytes
from kmipkit_server.objects import creation
from kmipkit_server.objects.access import load
from kmipkit_server.objects.derived_attributes import derived_attributes
from kmipkit_server.objects.managed import pack_object
from kmipkit_server.policy.actions import KeyUse


def is_container(value: object) -> bool:
    """Whether an object is a Private Key in a PKCS#12 container, whose bytes are there."""
    return isinstance(value, PrivateKey) and _container(value.key_block) is not None


def _container(block: KeyBlock) -> bytes | None:
    """The bytes of the container. In 1.x, they may be the Key Value itself (KMIP 1.4 §2.1.4)."""
    if block.key_format_type != KeyFormatType.PKCS_12 or block.key_wrapping_data is not None:
        return None
    value = block.key_value
    material = value.key_material if isinstance(value, KeyValue) else value
    return material if isinstance(material, bytes) else None


def opened_container(
    call: Call, value: PrivateKey, attributes: Attributes
) -> tuple[PrivateKey, Attributes]:
    """The key of the container, and its attributes; the certificates become objects.

    OperationError: Bad Password without exactly one link to an active password, or for a wrong one;
    Invalid Field for another friendly name.
    """
    container = _container(value.key_block)
    assert container is not None
    password = _password(call, attributes)
    contents = call.compute(pkcs12.contents, container, password, cost=costs.PKCS_12)
    name = attributes.get(Tag.PKCS_12_FRIENDLY_NAME)
    if name is None and contents.name is not None:
        name = contents.name
        attributes = attributes.plus(creation.first_instance(Tag.PKCS_12_FRIENDLY_NAME, name))
    elif name is not None and contents.name is not None and name.lower() != contents.name.lower():
        raise OperationError(
            ResultReason.INVALID_FIELD,
            f"the key in the PKCS#12 container has the friendly name {contents.name!r},"
            f" not {name!r}",
        )
    following: str | None = None
    for certificate in reversed(contents.certificates):
        following = _store_certificate(call, certificate, name, following)
    if following is not None:
        attributes = attributes.plus(_link(following))
    block = KeyBlock(
        key_format_type=KeyFormatType.PKCS_8, key_value=KeyValue(key_material=contents.key)
    )
    stored = PrivateKey(key_block=block)
    described, claimed = dict(derived_attributes(stored)), value.key_block
    block = block.replace(
        cryptographic_algorithm=claimed.cryptographic_algorithm
        or described.get(Tag.CRYPTOGRAPHIC_ALGORITHM),
        cryptographic_length=claimed.cryptographic_length
        or described.get(Tag.CRYPTOGRAPHIC_LENGTH),
    )
    return stored.replace(key_block=block), attributes


def _password(call: Call, attributes: Attributes) -> bytes:
    links = [
        link.linked_object_identifier
        for link in attributes.all(Tag.LINK)
        if link.link_type == LinkType.PKCS_12_PASSWORD_LINK
    ]
    if len(links) != 1:
        raise _bad_password("a PKCS#12 container needs exactly one PKCS#12 Password Link")
    managed = load(call, links[0], KeyUse.UNWRAP_KEY)
    secret = managed.object if managed.object_type is ObjectType.SECRET_DATA else None
    if not isinstance(secret, SecretData) or secret.secret_data_type != SecretDataType.PASSWORD:
        raise _bad_password("the PKCS#12 Password Link does not lead to a password")
    if managed.state is not State.ACTIVE:
        raise OperationError(
            ResultReason.WRONG_KEY_LIFECYCLE_STATE,
            f"the password of the PKCS#12 container is {describe_state(managed.state)},"
            " and must be Active",
        )
    return key_bytes(managed)


def _store_certificate(
    call: Call, certificate: pkcs12.NamedCertificate, name: str | None, following: str | None
) -> str:
    """Store a certificate of the chain; its identifier."""
    value = Certificate(certificate_type=CertificateType.X_509, certificate_value=certificate.data)
    attributes = Attributes()
    if (certificate.name or name) is not None:
        attributes = Attributes.of((Tag.PKCS_12_FRIENDLY_NAME, certificate.name or name))
    if following is not None:
        attributes = attributes.plus(_link(following))
    managed = creation.store(
        call, ObjectType.CERTIFICATE, pack_object(value), attributes, derived_attributes(value)
    )
    return managed.id


def _link(identifier: str) -> Attribute:
    link = Link(link_type=LinkType.PKCS_12_CERTIFICATE_LINK, linked_object_identifier=identifier)
    return Attribute(Tag.LINK, link)


def _bad_password(message: str) -> OperationError:
    return OperationError(ResultReason.BAD_PASSWORD, message)
