"""Create Credential, Create User and Create Group (3.0): objects of the server or of a tenant.

Only administrators may use these operations, which follow the test cases of 3.0.
"""

from kmipkit.errors import OperationError
from kmipkit.keys.certificates import load_certificate
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
from kmipkit_server.identity.directory import account_material
from kmipkit_server.identity.stored_credential import pack_credential
from kmipkit_server.objects import creation
from kmipkit_server.objects.derived_attributes import derived_attributes
from kmipkit_server.objects.foreign_values import require_storable
from kmipkit_server.objects.managed import pack_object
from kmipkit_server.policy import rules


def create_credential(call: Call, request: CreateCredentialRequest) -> CreateCredentialResponse:
    """Store a credential: a certificate, a password (as a hash), a device, and so on."""
    rules.require_administrator(call.identity)
    require_storable(request.credential, call.version)
    object_type, material = _object_of(call, request)
    derived = (
        derived_attributes(request.credential)
        if isinstance(request.credential, Certificate)
        else ()
    )
    attributes = creation.requested_attributes(call, request.attributes, object_type)
    managed = creation.store(call, object_type, material, attributes, derived, of_system=True)
    return CreateCredentialResponse(unique_identifier=call.returns(managed.id))


def _object_of(call: Call, request: CreateCredentialRequest) -> tuple[ObjectType, bytes]:
    """The Object Type of the credential, and its stored form."""
    credential, credential_type = request.credential, request.credential_type
    match credential:
        case Certificate() if credential_type == CredentialType.CERTIFICATE:
            load_certificate(credential.certificate_value)
            return ObjectType.CERTIFICATE, pack_object(credential)
        case PasswordCredential() if credential_type == CredentialType.PASSWORD:
            password = _hash(call, credential.password)
            return ObjectType.PASSWORD_CREDENTIAL, pack_credential(password=password)
        case DeviceCredential() if credential_type == CredentialType.DEVICE:
            secret = None if credential.password is None else _hash(call, credential.password)
            device = credential.replace(password=None)
            return ObjectType.DEVICE_CREDENTIAL, pack_credential(device=device, password=secret)
        case OTPCredential() if credential_type == CredentialType.ONE_TIME_PASSWORD:
            totp.require_usable(credential)
            return ObjectType.ONE_TIME_PASSWORD_CREDENTIAL, pack_credential(otp=credential)
        case HashedPasswordCredential() if credential_type == CredentialType.HASHED_PASSWORD:
            return ObjectType.HASHED_PASSWORD_CREDENTIAL, pack_credential(hashed=credential)
    raise OperationError(
        ResultReason.INVALID_FIELD, "the credential is not of the type that Credential Type names"
    )


def _hash(call: Call, password: str | None) -> PasswordCredential:
    if not password:
        raise OperationError(
            ResultReason.INVALID_FIELD,
            "the password is missing: send it in clear, the server salts and hashes it",
        )
    return call.compute(passwords.hash_password, password, call.random, cost=passwords.COST)


def create_user(call: Call, request: CreateUserRequest) -> CreateUserResponse:
    """Make a user with a name of its own, and links to credentials."""
    material = account_material(_required_name(request.attributes))
    identifier = _create(call, ObjectType.USER, request.attributes, material)
    return CreateUserResponse(unique_identifier=identifier)


def create_group(call: Call, request: CreateGroupRequest) -> CreateGroupResponse:
    """Make a group, which objects and users may link to."""
    identifier = _create(call, ObjectType.GROUP, request.attributes)
    return CreateGroupResponse(unique_identifier=identifier)


def _create(
    call: Call, object_type: ObjectType, attributes: Attributes, material: bytes = b""
) -> str:
    rules.require_administrator(call.identity)
    checked = creation.requested_attributes(call, attributes, object_type)
    return call.returns(creation.store(call, object_type, material, checked, (), of_system=True).id)


def _required_name(attributes: Attributes) -> str:
    name = attributes.get(Tag.NAME)
    if not isinstance(name, Name) or not name.name_value:
        raise OperationError(ResultReason.INVALID_FIELD, "Create User needs the attribute Name")
    return name.name_value
