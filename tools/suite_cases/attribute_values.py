"""A value of each attribute, and another one, with which cases set, change and delete it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from kmipkit.model import attributes as models
from kmipkit.spec import enums as e
from kmipkit.spec.masks import CryptographicUsageMask, ProtectionStorageMask
from suite_cases.material import DISTINGUISHED_NAME

PAST = datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC)
FUTURE = datetime(2098, 1, 1, tzinfo=UTC)
FAR_FUTURE = datetime(2099, 1, 1, tzinfo=UTC)


def _name(text: str) -> models.Name:
    return models.Name(name_value=text, name_type=e.NameType.UNINTERPRETED_TEXT_STRING)


def _link(text: str) -> models.Link:
    return models.Link(link_type=e.LinkType.PARENT_LINK, linked_object_identifier=text)


def _application(text: str) -> models.ApplicationSpecificInformation:
    return models.ApplicationSpecificInformation(application_namespace="ssl", application_data=text)


def _alternative(text: str) -> models.AlternativeName:
    return models.AlternativeName(
        alternative_name_value=text, alternative_name_type=e.AlternativeNameType.URI
    )


def _location(text: str) -> models.KeyValueLocation:
    return models.KeyValueLocation(
        key_value_location_value=text,
        key_value_location_type=e.KeyValueLocationType.UNINTERPRETED_TEXT_STRING,
    )


def _rotate_name(text: str) -> models.RotateName:
    return models.RotateName(
        rotate_name_value=text, rotate_name_type=e.RotateNameType.UNINTERPRETED_TEXT_STRING
    )


def _parameters(mode: e.BlockCipherMode) -> models.CryptographicParameters:
    return models.CryptographicParameters(
        block_cipher_mode=mode, padding_method=e.PaddingMethod.PKCS5
    )


VALUES: Mapping[str, tuple[Any, ...]] = {
    "Unique Identifier": ("KIT-another",),
    "Name": (_name("KIT-a-$"), _name("KIT-b-$")),
    "Object Type": (e.ObjectType.SECRET_DATA,),
    "Cryptographic Algorithm": (e.CryptographicAlgorithm.BLOWFISH,),
    "Cryptographic Length": (192,),
    "Cryptographic Parameters": (
        _parameters(e.BlockCipherMode.CBC),
        _parameters(e.BlockCipherMode.ECB),
    ),
    "Cryptographic Domain Parameters": (
        models.CryptographicDomainParameters(recommended_curve=e.RecommendedCurve.P_256),
    ),
    "Certificate Type": (e.CertificateType.PGP,),
    "Certificate Length": (1,),
    "X.509 Certificate Identifier": (
        models.X509CertificateIdentifier(
            issuer_distinguished_name=DISTINGUISHED_NAME, certificate_serial_number=b"\2\1\1"
        ),
    ),
    "X.509 Certificate Subject": (
        models.X509CertificateSubject(subject_distinguished_name=b"0\0"),
    ),
    "X.509 Certificate Issuer": (models.X509CertificateIssuer(issuer_distinguished_name=b"0\0"),),
    "Certificate Identifier": (models.CertificateIdentifier(issuer="CN=a", serial_number="1"),),
    "Certificate Subject": (models.CertificateSubject(distinguished_name="CN=a"),),
    "Certificate Issuer": (models.CertificateIssuer(distinguished_name="CN=a"),),
    "Digital Signature Algorithm": (e.DigitalSignatureAlgorithm.ECDSA_WITH_SHA256,),
    "Digest": (
        models.Digest(hashing_algorithm=e.HashingAlgorithm.SHA_256, digest_value=bytes(32)),
    ),
    "Cryptographic Usage Mask": (CryptographicUsageMask.WRAP_KEY,),
    "Lease Time": (60,),
    "State": (e.State.COMPROMISED,),
    "Initial Date": (PAST,),
    "Activation Date": (FUTURE, FAR_FUTURE),
    "Process Start Date": (FUTURE, FAR_FUTURE),
    "Protect Stop Date": (FUTURE, FAR_FUTURE),
    "Deactivation Date": (FUTURE, FAR_FUTURE),
    "Destroy Date": (PAST,),
    "Compromise Occurrence Date": (PAST,),
    "Compromise Date": (PAST,),
    "Revocation Reason": (
        models.RevocationReason(revocation_reason_code=e.RevocationReasonCode.SUPERSEDED),
    ),
    "Archive Date": (PAST,),
    "Object Group": ("KIT-group-a", "KIT-group-b"),
    "Fresh": (True,),
    "Link": (_link("KIT-parent-a"), _link("KIT-parent-b")),
    "Application Specific Information": (
        _application("a.example.com"),
        _application("b.example.com"),
    ),
    "Contact Information": ("Alice", "Bob"),
    "Last Change Date": (PAST,),
    "Alternative Name": (_alternative("https://a.example"), _alternative("https://b.example")),
    "Key Value Present": (False,),
    "Key Value Location": (_location("safe a"), _location("safe b")),
    "Original Creation Date": (PAST,),
    "Random Number Generator": (models.RNGParameters(rng_algorithm=e.RNGAlgorithm.UNSPECIFIED),),
    "PKCS#12 Friendly Name": ("alias a", "alias b"),
    "Description": ("first", "second"),
    "Comment": ("first", "second"),
    "Sensitive": (True, False),
    "Always Sensitive": (True,),
    "Extractable": (False, True),
    "Never Extractable": (True,),
    "Key Format Type": (e.KeyFormatType.OPAQUE,),
    "NIST Key Type": (e.NISTKeyType.SYMMETRIC_DATA_ENCRYPTION_KEY,),
    "Opaque Data Type": (e.OpaqueDataType(0x80000002),),
    "Protection Level": (e.ProtectionLevel.HIGH, e.ProtectionLevel.LOW),
    "Protection Period": (60, 120),
    "Protection Storage Mask": (ProtectionStorageMask.SOFTWARE,),
    "Quantum Safe": (False,),
    "Rotate Automatic": (True,),
    "Rotate Date": (PAST,),
    "Rotate Generation": (1,),
    "Rotate Interval": (86400,),
    "Rotate Latest": (True,),
    "Rotate Name": (_rotate_name("a"), _rotate_name("b")),
    "Rotate Offset": (60,),
    "Short Unique Identifier": (b"1" * 32,),
}
"""The values by the name of the attribute; a second one where clients may change it."""
