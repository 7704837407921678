"""Requirements on servers for each profile (Profiles 2.1 §6; the profiles of 2015 for 1.0 to 1.2).

From 2.0 on a profile has one name; before that it has one for each version of the protocol. A row is for
both. The first part of a test case's name assigns the case to a profile.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from kmipkit.spec.enums import CryptographicAlgorithm, ObjectType, Operation, ProfileName
from kmipkit.spec.operations import BY_OPERATION
from kmipkit.spec.versions import V1_0, V1_2, V1_3, V1_4, V2_0, V2_1, Version

_OP, _TYPE = Operation, ObjectType


@dataclass(frozen=True, slots=True)
class ServerProfile:
    """A profile of servers."""

    name: str
    """The member of Profile Name; in 1.x without the version."""
    title: str
    cases: tuple[str, ...]
    """First parts of the names of its test cases."""
    operations: frozenset[Operation] = frozenset()
    """Operations beyond those of the baseline, in versions that have them."""
    objects: frozenset[ObjectType] = frozenset()
    since: Version = V1_0
    until: Version | None = None
    algorithms: frozenset[CryptographicAlgorithm] = frozenset()
    everything: bool = False
    """Whether it requires every operation, and all that the other profiles require."""

    def known_in(self, version: Version) -> bool:
        """Whether there is such a profile for this version of the protocol."""
        return self.since <= version and (self.until is None or version <= self.until)

    def needs(self, version: Version) -> frozenset[Operation]:
        """The operations that a server of this version must support to claim it."""
        if self.everything:
            candidates: Iterable[Operation] = BY_OPERATION
        else:
            candidates = self.operations | (BASELINE if version >= V1_2 else frozenset())
        return frozenset(
            operation
            for operation in candidates
            if operation.known_in(version) and operation not in _NOT_NEEDED
        )

    def names(self, version: Version) -> Iterator[ProfileName]:
        """Its names in Query in this version: in 1.x one for each version up to this one."""
        if version >= V2_0:
            if self.name in ProfileName.__members__:
                yield ProfileName[self.name]
            return
        for member in ProfileName:
            base, _, minor = member.name.rpartition("_KMIP_V1_")
            is_base = base == self.name and minor.isdecimal() and int(minor) <= version.minor
            if is_base and member.known_in(version):
                yield member


_NOT_NEEDED = frozenset({_OP.INTEROP})
"""For test environments only (KMIP 2.1 §6.1.26)."""

BASELINE = frozenset(
    {
        _OP.ACTIVATE,
        _OP.ADD_ATTRIBUTE,
        _OP.ADJUST_ATTRIBUTE,
        _OP.CHECK,
        _OP.DELETE_ATTRIBUTE,
        _OP.DESTROY,
        _OP.DISCOVER_VERSIONS,
        _OP.EXPORT,
        _OP.GET,
        _OP.GET_ATTRIBUTE_LIST,
        _OP.GET_ATTRIBUTES,
        _OP.IMPORT,
        _OP.LOCATE,
        _OP.LOG,
        _OP.MODIFY_ATTRIBUTE,
        _OP.QUERY,
        _OP.REGISTER,
        _OP.REVOKE,
        _OP.SET_ATTRIBUTE,
        _OP.SET_ENDPOINT_ROLE,
    }
)
"""Operations of the baseline, which all other profiles include."""

SERVER_PROFILES = (
    ServerProfile("BASELINE_SERVER", "Baseline Server", ("BL-", "SKLC-"), since=V2_0),
    ServerProfile("BASELINE_SERVER_BASIC", "Baseline Server Basic", (), until=V1_4),
    ServerProfile("BASELINE_SERVER_TLS_V1_2", "Baseline Server TLS 1.2", (), until=V1_4),
    ServerProfile("COMPLETE_SERVER", "Complete Server", ("",), since=V2_0, everything=True),
    ServerProfile(
        "COMPLETE_SERVER_BASIC",
        "Complete Server Basic",
        ("",),
        until=V1_4,
        everything=True,
    ),
    ServerProfile(
        "COMPLETE_SERVER_TLS_V1_2",
        "Complete Server TLS 1.2",
        ("",),
        until=V1_4,
        everything=True,
    ),
    ServerProfile("HTTPS_SERVER", "HTTPS Server", ("MSGENC-HTTPS-",)),
    ServerProfile("XML_SERVER", "XML Server", ("MSGENC-XML-",)),
    ServerProfile("JSON_SERVER", "JSON Server", ("MSGENC-JSON-",)),
    ServerProfile(
        "SYMMETRIC_KEY_LIFECYCLE_SERVER",
        "Symmetric Key Lifecycle Server",
        ("SKLC-",),
        frozenset({_OP.CREATE}),
        frozenset({_TYPE.SYMMETRIC_KEY}),
    ),
    ServerProfile(
        "SYMMETRIC_KEY_FOUNDRY_SERVER",
        "Symmetric Key Foundry Server",
        ("SKFF-",),
        frozenset({_OP.CREATE}),
        frozenset({_TYPE.SYMMETRIC_KEY}),
    ),
    ServerProfile(
        "ASYMMETRIC_KEY_LIFECYCLE_SERVER",
        "Asymmetric Key Lifecycle Server",
        ("AKLC-",),
        frozenset({_OP.CREATE_KEY_PAIR}),
        frozenset({_TYPE.PUBLIC_KEY, _TYPE.PRIVATE_KEY}),
    ),
    ServerProfile(
        "BASIC_CRYPTOGRAPHIC_SERVER",
        "Basic Cryptographic Server",
        ("CS-BC-",),
        frozenset({_OP.ENCRYPT, _OP.DECRYPT}),
        since=V1_2,
    ),
    ServerProfile(
        "ADVANCED_CRYPTOGRAPHIC_SERVER",
        "Advanced Cryptographic Server",
        ("CS-AC-",),
        frozenset(
            {
                _OP.ENCRYPT,
                _OP.DECRYPT,
                _OP.SIGN,
                _OP.SIGNATURE_VERIFY,
                _OP.MAC,
                _OP.MAC_VERIFY,
                _OP.HASH,
            }
            | {_OP.RNG_RETRIEVE, _OP.RNG_SEED}
        ),
        since=V1_2,
    ),
    ServerProfile(
        "RNG_CRYPTOGRAPHIC_SERVER",
        "RNG Cryptographic Server",
        ("CS-RNG-",),
        frozenset({_OP.RNG_RETRIEVE, _OP.RNG_SEED}),
        since=V1_2,
    ),
    ServerProfile(
        "OPAQUE_MANAGED_OBJECT_STORE_SERVER",
        "Opaque Managed Object Store Server",
        ("OMOS-",),
        frozenset({_OP.REGISTER}),
        frozenset({_TYPE.OPAQUE_OBJECT}),
    ),
    ServerProfile(
        "STORAGE_ARRAY_WITH_SELF_ENCRYPTING_DRIVE_SERVER",
        "Storage Array with Self-Encrypting Drive Server",
        ("SASED-",),
        frozenset({_OP.REGISTER}),
        frozenset({_TYPE.SECRET_DATA}),
    ),
    ServerProfile(
        "TAPE_LIBRARY_SERVER",
        "Tape Library Server",
        ("TL-",),
        frozenset({_OP.CREATE}),
        frozenset({_TYPE.SYMMETRIC_KEY}),
    ),
    ServerProfile(
        "SUITE_B_MINLOS_128_SERVER",
        "Suite B minLOS_128 Server",
        ("SUITEB_128-",),
        until=V1_4,
    ),
    ServerProfile(
        "SUITE_B_MINLOS_192_SERVER",
        "Suite B minLOS_192 Server",
        ("SUITEB_192-",),
        until=V1_4,
    ),
    ServerProfile(
        "AES_XTS_SERVER",
        "AES XTS Server",
        ("AX-",),
        frozenset({_OP.CREATE}),
        frozenset({_TYPE.SYMMETRIC_KEY}),
        since=V1_3,
    ),
    ServerProfile(
        "QUANTUM_SAFE_SERVER",
        "Quantum Safe Server",
        ("QS-",),
        frozenset(
            {_OP.CERTIFY, _OP.CREATE, _OP.CREATE_KEY_PAIR, _OP.ENCRYPT, _OP.DECRYPT, _OP.RE_CERTIFY}
            | {_OP.RE_KEY, _OP.RE_KEY_KEY_PAIR, _OP.SIGN, _OP.SIGNATURE_VERIFY}
        ),
        frozenset({_TYPE.CERTIFICATE, _TYPE.PRIVATE_KEY, _TYPE.PUBLIC_KEY, _TYPE.SYMMETRIC_KEY}),
        since=V2_0,
        algorithms=frozenset(
            {
                CryptographicAlgorithm.MCELIECE_6960119,
                CryptographicAlgorithm.MCELIECE_8192128,
                CryptographicAlgorithm.SPHINCS_256,
            }
        ),
    ),
    ServerProfile(
        "PKCS_11_SERVER", "PKCS#11 Server", ("PKCS11-",), frozenset({_OP.PKCS_11}), since=V2_1
    ),
)
"""The profiles of servers, in the order of the document."""


def claimable(
    operations: Iterable[Operation],
    objects: Iterable[ObjectType],
    algorithms: Iterable[CryptographicAlgorithm],
    version: Version,
) -> list[ServerProfile]:
    """The profiles whose requirements a server of this version fulfils."""
    supported, object_types, supported_algorithms = (
        frozenset(operations),
        frozenset(objects),
        frozenset(algorithms),
    )
    of_version = [profile for profile in SERVER_PROFILES if profile.known_in(version)]
    fulfilled = [
        profile
        for profile in of_version
        if profile.needs(version) <= supported
        and profile.objects <= object_types
        and profile.algorithms <= supported_algorithms
    ]
    specific = {profile.title for profile in of_version if not profile.everything}
    complete = specific <= {profile.title for profile in fulfilled}
    return [profile for profile in fulfilled if complete or not profile.everything]
