"""Objects in the place of destroyed ones: random bytes that nobody can get."""

import secrets

from kmipkit_client import opaque_object, secret_data, symmetric_key

from kmipkit.errors import Cause, LocalProtocolError
from kmipkit.model.attribute import Attributes
from kmipkit.model.objects import ManagedObject
from kmipkit.spec.enums import CryptographicAlgorithm, ObjectType
from kmipkit.spec.tags import Tag


def placeholder(object_type: ObjectType, attributes: Attributes) -> ManagedObject:
    """An object of the same kind. LocalProtocolError for types that random bytes cannot stand for."""
    if object_type is ObjectType.SYMMETRIC_KEY:
        bits = attributes.get(Tag.CRYPTOGRAPHIC_LENGTH) or 256
        algorithm = attributes.get(Tag.CRYPTOGRAPHIC_ALGORITHM) or CryptographicAlgorithm.AES
        return symmetric_key(secrets.token_bytes(bits // 8), CryptographicAlgorithm(algorithm))
    if object_type is ObjectType.SECRET_DATA:
        return secret_data(secrets.token_bytes(32))
    if object_type is ObjectType.OPAQUE_OBJECT:
        data_type = attributes.get(Tag.OPAQUE_DATA_TYPE)
        return opaque_object(secrets.token_bytes(32), *(() if data_type is None else (data_type,)))
    raise LocalProtocolError("it is destroyed: there is nothing to copy", cause=Cause.BAD_VALUE)
