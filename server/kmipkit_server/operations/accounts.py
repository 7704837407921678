"""Create Credential, Create User and Create Group (3.0): objects that belong to the server.

Only administrators make them. There is no text of 3.0 here; the operations follow the test cases.
"""

from cryptography import x509

from kmipkit.errors import OperationError
from kmipkit.model.attribute import Attributes
from kmipkit.model.attributes import Name
from kmipkit.model.objects import Certificate
from kmipkit.model.payloads.accounts import (
    CreateCredentialRequest,
    CreateCredentialResponse,
    CreateGroupRequest,
    CreateGroupResponse,
    CreateUserRequest,
    CreateUserResponse,
    DeviceCredential,
    HashedPasswordCredential,
    OTPCredential,
    PasswordCredential,
)
from kmipkit.spec.enums import CredentialType, ObjectType, ResultReason
from kmipkit.spec.tags import Tag
from kmipkit_server.engine.call import Call
from kmipkit_server.identity import passwords, totp
from kmipkit_server.identity.identity import SYSTEM
from kmipkit_server.identity.stored_credential import pack_credential
from kmipkit_server.objects import creation
from kmipkit_server.objects.derived_attributes import derived_attributes
from kmipkit_server.objects.managed import pack_object
from kmipkit_server.policy import rules


def create_credential(call: Call, request: CreateCredentialRequest) -> CreateCredentialResponse:
    """Keep a credential: a certificate, a password as a hash, a device."""
    rules.require_administrator(call.identity)
    object_type, material = _kept(call, request)
    facts = (
        derived_attributes(request.credential)
        if isinstance(request.credential, Certificate)
        else ()
    )
    given = creation.requested(call, request.attributes, object_type)
    managed = creation.store(call, object_type, material, given, facts, owner=SYSTEM)
    return CreateCredentialResponse(unique_identifier=call.returns(managed.id))


def _kept(call: Call, request: CreateCredentialRequest) -> tuple[ObjectType, bytes]:
    """The type of the object, and what is stored of it."""
    credential, said = request.credential, request.credential_type
    match credential:
        case Certificate() if said == CredentialType.CERTIFICATE:
            _require_readable(credential)
            return ObjectType.CERTIFICATE, pack_object(credential)
        case PasswordCredential() if said == CredentialType.PASSWORD:
            kept = _hashed(call, credential.password)
            return ObjectType.PASSWORD_CREDENTIAL, pack_credential(password=kept)
        case DeviceCredential() if said == CredentialType.DEVICE:
            secret = None if credential.password is None else _hashed(call, credential.password)
            device = credential.replace(password=None)
            return ObjectType.DEVICE_CREDENTIAL, pack_credential(device=device, password=secret)
        case OTPCredential() if said == CredentialType.ONE_TIME_PASSWORD:
            totp.require_usable(credential)
            return ObjectType.ONE_TIME_PASSWORD_CREDENTIAL, pack_credential(otp=credential)
        case HashedPasswordCredential() if said == CredentialType.HASHED_PASSWORD:
            return ObjectType.HASHED_PASSWORD_CREDENTIAL, pack_credential(hashed=credential)
    raise OperationError(
        ResultReason.INVALID_FIELD, "Credential Type and credential do not go together"
    )


def _hashed(call: Call, password: str | None) -> PasswordCredential:
    if not password:
        raise OperationError(
            ResultReason.INVALID_FIELD, "give the password itself; the server salts and hashes it"
        )
    return passwords.hashed(password, call.random)


def _require_readable(certificate: Certificate) -> None:
    try:
        x509.load_der_x509_certificate(certificate.certificate_value)
    except ValueError:
        raise OperationError(
            ResultReason.INVALID_FIELD, "the certificate cannot be read as X.509"
        ) from None


def create_user(call: Call, request: CreateUserRequest) -> CreateUserResponse:
    """Make a user with a name of its own, and links to credentials."""
    _require_name(request.attributes)
    managed = _create(call, ObjectType.USER, request.attributes)
    return CreateUserResponse(unique_identifier=managed)


def create_group(call: Call, request: CreateGroupRequest) -> CreateGroupResponse:
    """Make a group, which objects and users may link to."""
    managed = _create(call, ObjectType.GROUP, request.attributes)
    return CreateGroupResponse(unique_identifier=managed)


def _create(call: Call, object_type: ObjectType, attributes: Attributes) -> str:
    rules.require_administrator(call.identity)
    given = creation.requested(call, attributes, object_type)
    return call.returns(creation.store(call, object_type, b"", given, (), owner=SYSTEM).id)


def _require_name(attributes: Attributes) -> None:
    name = attributes.get(Tag.NAME)
    if not isinstance(name, Name) or not name.name_value:
        raise OperationError(ResultReason.INVALID_FIELD, "a user needs a Name")
