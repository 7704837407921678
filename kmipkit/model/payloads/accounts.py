"""Users, groups and their credentials, which are managed objects in 3.0.

The text of 3.0 is not published. The fields are those in the test cases of its profiles; those of a
password are from its table of tags.
"""

from typing import Annotated

from kmipkit.model.attribute import Attributes
from kmipkit.model.objects import Certificate
from kmipkit.model.payloads.common import ObjectResponse
from kmipkit.model.structure import Structure, Wire, structure
from kmipkit.spec.enums import CredentialType, HashingAlgorithm, OTPAlgorithm
from kmipkit.spec.tags import Tag


@structure(Tag.PASSWORD_CREDENTIAL)
class PasswordCredential(Structure):
    """A password, in plain text or salted and hashed."""

    password: Annotated[str | None, Wire(Tag.PASSWORD)] = None
    password_salt: Annotated[bytes | None, Wire(Tag.PASSWORD_SALT)] = None
    password_salt_algorithm: Annotated[
        HashingAlgorithm | None, Wire(Tag.PASSWORD_SALT_ALGORITHM)
    ] = None
    salted_password: Annotated[bytes | None, Wire(Tag.SALTED_PASSWORD)] = None


@structure(Tag.DEVICE_CREDENTIAL)
class DeviceCredential(Structure):
    """A device: the fields of a Device credential in a header (KMIP 2.1 §9.11)."""

    device_serial_number: Annotated[str | None, Wire(Tag.DEVICE_SERIAL_NUMBER)] = None
    password: Annotated[str | None, Wire(Tag.PASSWORD)] = None
    device_identifier: Annotated[str | None, Wire(Tag.DEVICE_IDENTIFIER)] = None
    network_identifier: Annotated[str | None, Wire(Tag.NETWORK_IDENTIFIER)] = None
    machine_identifier: Annotated[str | None, Wire(Tag.MACHINE_IDENTIFIER)] = None
    media_identifier: Annotated[str | None, Wire(Tag.MEDIA_IDENTIFIER)] = None


@structure(Tag.HASHED_PASSWORD_CREDENTIAL)
class HashedPasswordCredential(Structure):
    """The verifier of a Hashed Password credential: S1 and S2 of KMIP 2.1 §9.11."""

    hashing_algorithm: Annotated[HashingAlgorithm | None, Wire(Tag.HASHING_ALGORITHM)] = None
    hashed_username_password: Annotated[bytes, Wire(Tag.HASHED_USERNAME_PASSWORD)]
    hashed_password_username: Annotated[bytes, Wire(Tag.HASHED_PASSWORD_USERNAME)]


@structure(Tag.OTP_CREDENTIAL)
class OTPCredential(Structure):
    """A generator of one-time passwords: by counter (RFC 4226) or by time in seconds (RFC 6238)."""

    otp_algorithm: Annotated[OTPAlgorithm, Wire(Tag.OTP_ALGORITHM)]
    otp_digest: Annotated[HashingAlgorithm | None, Wire(Tag.OTP_DIGEST)] = None
    otp_serial: Annotated[str | None, Wire(Tag.OTP_SERIAL)] = None
    otp_seed: Annotated[bytes, Wire(Tag.OTP_SEED)]
    otp_interval: Annotated[int | None, Wire(Tag.OTP_INTERVAL)] = None
    otp_digits: Annotated[int | None, Wire(Tag.OTP_DIGITS)] = None
    otp_counter: Annotated[int | None, Wire(Tag.OTP_COUNTER)] = None


@structure()
class CreateCredentialRequest(Structure):
    """Create a credential, to which a user can be linked."""

    credential_type: Annotated[CredentialType, Wire(Tag.CREDENTIAL_TYPE)]
    attributes: Annotated[Attributes, Wire(Tag.ATTRIBUTES)]
    credential: Annotated[
        Certificate
        | PasswordCredential
        | DeviceCredential
        | OTPCredential
        | HashedPasswordCredential,
        Wire(),
    ]


@structure()
class CreateCredentialResponse(ObjectResponse):
    """The new credential."""


@structure()
class CreateUserRequest(Structure):
    """Create a user with a Name, and a Credential Link for each credential."""

    attributes: Annotated[Attributes, Wire(Tag.ATTRIBUTES)]


@structure()
class CreateUserResponse(ObjectResponse):
    """The new user."""


@structure()
class CreateGroupRequest(Structure):
    """Create a group."""

    attributes: Annotated[Attributes, Wire(Tag.ATTRIBUTES)]


@structure()
class CreateGroupResponse(ObjectResponse):
    """The new group."""
