"""Encrypt and Decrypt again with the same key: what need not be worked out again for other data.

A client that encrypts much sends requests that differ in their data, IV, additional data and tag only.
What the key may be used for, and how, follows then from its version and its state; see
:mod:`kmipkit_server.engine.prepared`. The key itself is opened each time.
"""

from datetime import timedelta
from functools import partial
from typing import Any

from kmipkit.keys import cipher, costs
from kmipkit.keys.parameters import Parameters
from kmipkit.model.payloads.crypto import DecryptRequest, EncryptRequest
from kmipkit.spec.enums import CryptographicAlgorithm, ObjectType, PaddingMethod
from kmipkit.spec.tags import Tag
from kmipkit_server.engine.call import Call
from kmipkit_server.engine.computing import MAX_IN_PLACE
from kmipkit_server.engine.multipart import is_part
from kmipkit_server.engine.repeatable import Values, Varying
from kmipkit_server.keys.material import key_bytes
from kmipkit_server.objects.algorithms import rules_in_force
from kmipkit_server.objects.managed import Managed
from kmipkit_server.objects.repetition import note_varying

_DATA, _IV = "data", "iv_counter_nonce"
_ADDITIONAL = "authenticated_encryption_additional_data"
_TAG = "authenticated_encryption_tag"

_VALUES = (
    (_DATA, Tag.DATA),
    (_IV, Tag.IV_COUNTER_NONCE),
    (_ADDITIONAL, Tag.AUTHENTICATED_ENCRYPTION_ADDITIONAL_DATA),
    (_TAG, Tag.AUTHENTICATED_ENCRYPTION_TAG),
)
"""The fields whose values are other ones each time, in the order of the messages."""

_SYMMETRIC = frozenset({ObjectType.SYMMETRIC_KEY, ObjectType.SECRET_DATA})


class _Use:
    """How requests use a key, worked out when one comes again."""

    __slots__ = ("_algorithm", "_names", "_parameters", "_pattern")

    def __init__(
        self, algorithm: CryptographicAlgorithm, parameters: Parameters, names: tuple[str, ...]
    ) -> None:
        self._algorithm = algorithm
        self._parameters = parameters
        self._names = names
        self._pattern: cipher.Pattern | None = None

    def pattern(self, key: bytes) -> cipher.Pattern:
        """The pattern of the requests; the key is not kept."""
        pattern = self._pattern
        if pattern is None:
            pattern = cipher.Pattern.of(key, self._algorithm, self._parameters)
            self._pattern = pattern
        return pattern

    def encrypt(
        self, call: Call, managed: Managed, values: Values, *, attaches_tag: bool
    ) -> Values | None:
        """The values of the response of Encrypt."""
        if rules_in_force(call):
            return None
        key, given = key_bytes(managed), dict(zip(self._names, values, strict=True))
        pattern, iv, generated = self.pattern(key), given.get(_IV), None
        if iv is None:
            iv = generated = pattern.iv(call.random)
        additional = given.get(_ADDITIONAL, b"")
        data, tag = pattern.seal(key, given[_DATA], iv or b"", additional, call.random)
        if attaches_tag and tag is not None:
            data, tag = data + tag, None
        return tuple([value for value in (data, generated, tag) if value is not None])

    def decrypt(
        self, call: Call, managed: Managed, values: Values, *, tag_follows: bool
    ) -> Values | None:
        """The values of the response of Decrypt."""
        if rules_in_force(call):
            return None
        key, given = key_bytes(managed), dict(zip(self._names, values, strict=True))
        data, tag = given[_DATA], given.get(_TAG)
        if tag_follows:
            data, tag = cipher.detach_tag(self._algorithm, self._parameters, data)
        iv, additional = given.get(_IV, b""), given.get(_ADDITIONAL, b"")
        return (self.pattern(key).open(key, data, iv, additional, tag or b""),)


def _results(result: cipher.Encrypted, *, attaches_tag: bool) -> tuple[tuple[Tag, bytes], ...]:
    """The values in the response of Encrypt."""
    if attaches_tag:
        result = result.with_attached_tag()
    optional = (Tag.IV_COUNTER_NONCE, result.iv), (Tag.AUTHENTICATED_ENCRYPTION_TAG, result.tag)
    found = [(tag, each) for tag, each in optional if each is not None]
    return ((Tag.DATA, result.data), *found)


def _fields(request: EncryptRequest | DecryptRequest) -> tuple[tuple[str, Tag], ...]:
    return tuple([field for field in _VALUES if getattr(request, field[0], None) is not None])


def _may_come_again(
    call: Call, managed: Managed, request: EncryptRequest | DecryptRequest, algorithm: Any
) -> bool:
    """Whether the use of the key follows from its version and its state, and takes no time."""
    return (
        isinstance(request.data, bytes)
        and managed.object_type in _SYMMETRIC
        and not is_part(request)
        and managed.get(Tag.USAGE_LIMITS) is None
        and costs.encryption(algorithm, len(request.data)) <= MAX_IN_PLACE
        and not rules_in_force(call)
    )


def note_encryption(
    call: Call,
    managed: Managed,
    request: EncryptRequest,
    parameters: Parameters,
    result: cipher.Encrypted,
    *,
    attaches_tag: bool,
) -> None:
    """Note that other data can be encrypted likewise."""
    algorithm = managed.get(Tag.CRYPTOGRAPHIC_ALGORITHM)
    if not _may_come_again(call, managed, request, algorithm):
        return
    fields, results = _fields(request), _results(result, attaches_tag=attaches_tag)
    use = _Use(algorithm, parameters, tuple([name for name, _ in fields]))
    compute = partial(use.encrypt, attaches_tag=attaches_tag)
    stop = managed.get(Tag.PROTECT_STOP_DATE)
    # It is the last moment of the use (KMIP 1.4 §3.26).
    ends = None if stop is None else stop + timedelta.resolution
    note_varying(call, managed, Varying(fields, results, compute), (ends,))


def note_decryption(
    call: Call,
    managed: Managed,
    request: DecryptRequest,
    parameters: Parameters,
    data: bytes,
    *,
    tag_follows: bool,
) -> None:
    """Note that other data can be decrypted likewise."""
    algorithm = managed.get(Tag.CRYPTOGRAPHIC_ALGORITHM)
    if (parameters.padding_method or PaddingMethod.NONE) != PaddingMethod.NONE:
        return  # the lengths of the results differ
    if not _may_come_again(call, managed, request, algorithm):
        return
    fields = _fields(request)
    use = _Use(algorithm, parameters, tuple([name for name, _ in fields]))
    compute = partial(use.decrypt, tag_follows=tag_follows)
    begins = managed.get(Tag.PROCESS_START_DATE)
    note_varying(call, managed, Varying(fields, ((Tag.DATA, data),), compute), (begins,))
