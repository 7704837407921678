"""Algorithm rules in the document of a policy: the section ``[algorithms]``, with a table for each.

[algorithms."no short keys"]
minimum_length = { RSA = 3072, AES = 256 }
from = 2027-01-01
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from kmipkit.spec.enumeration import OpenEnum
from kmipkit.spec.enums import (
    BlockCipherMode,
    CryptographicAlgorithm,
    DigitalSignatureAlgorithm,
    HashingAlgorithm,
    ObjectType,
    PaddingMethod,
    RecommendedCurve,
    WrappingMethod,
)
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.names import mask_bit
from kmipkit.spec.tags import Tag
from kmipkit_server.policy.algorithms.model import (
    ON_CURVES,
    AlgorithmRule,
    AlgorithmRules,
    Choice,
    Subject,
)
from kmipkit_server.policy.algorithms.names import all_names, named
from kmipkit_server.policy.errors import InvalidValue
from kmipkit_server.policy.values import flag
from kmipkit_server.toml.lines import Path_
from kmipkit_server.toml.suggestion import suggestion

if TYPE_CHECKING:  # it imports this module, for the table of sections
    from kmipkit_server.policy.document import Reading

SECTION = "algorithms"

KINDS: Mapping[Subject, type[OpenEnum]] = MappingProxyType(
    {
        Subject.ALGORITHMS: CryptographicAlgorithm,
        Subject.CURVES: RecommendedCurve,
        Subject.BLOCK_CIPHER_MODES: BlockCipherMode,
        Subject.PADDING_METHODS: PaddingMethod,
        Subject.HASHING_ALGORITHMS: HashingAlgorithm,
        Subject.SIGNATURE_ALGORITHMS: DigitalSignatureAlgorithm,
        Subject.WRAPPING_METHODS: WrappingMethod,
    }
)
"""The names that each subject has."""

MAX_RULES = 200
"""Each use of a key looks at all of them."""
_MAX_DAYS = 36_500


def read_algorithms(reading: "Reading", table: Mapping[str, Any]) -> AlgorithmRules:
    """The rules of the section; their faults are noted in ``reading``."""
    if len(table) > MAX_RULES:
        reading.fault((SECTION,), f"has {len(table)} rules; {MAX_RULES} at most")
        return AlgorithmRules()
    rules = (
        _rule(reading, (SECTION, name), reading.table((SECTION, name), value))
        for name, value in table.items()
    )
    return AlgorithmRules(tuple(sorted(rules, key=lambda rule: rule.name)))


def _rule(reading: "Reading", path: Path_, table: Mapping[str, Any]) -> AlgorithmRule:
    fields: dict[str, Any] = {}
    choices: dict[Subject, Choice] = {}
    for key, value in table.items():
        inner = (*path, key)
        if key in KINDS:
            subject = Subject(key)
            choices[subject] = reading.value(inner, _choice, KINDS[subject], value) or Choice()
        elif key in _READERS:
            field, read = _READERS[key]
            found = reading.value(inner, read, value)
            if found is not None:
                fields[field] = found
        else:
            reading.unknown(path, key, (*KINDS, *_READERS))
    if not table.keys() & {*KINDS, *_DEMANDS}:
        reading.fault(path, f"demands nothing; it needs one of {', '.join((*KINDS, *_DEMANDS))}")
    return AlgorithmRule(name=str(path[-1]), choices=MappingProxyType(choices), **fields)


# --- values --------------------------------------------------------------------------------------


def _date(value: object) -> datetime:
    """A date is that of its first moment in UTC."""
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise InvalidValue("needs a time zone, such as 2027-01-01T00:00:00Z")
        return value.astimezone(UTC)
    if isinstance(value, date):
        return datetime.combine(value, time(), UTC)
    raise InvalidValue("must be a date, such as 2027-01-01, without quotation marks")


def _number(least: int, most: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise InvalidValue(f"must be a whole number from {least} to {most}")
        return value

    return read


_bits = _number(1, 65_536)


def _days(least: int) -> Callable[[object], timedelta]:
    number = _number(least, _MAX_DAYS)
    return lambda value: timedelta(days=number(value))


def _process(value: object) -> bool:
    if value not in ("allow", "refuse"):
        raise InvalidValue('must be "allow" or "refuse"')
    return value == "refuse"


def _names(value: object) -> Sequence[str]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise InvalidValue("must be a list of names")
    return value


def _value(kind: type[OpenEnum], name: str) -> frozenset[OpenEnum]:
    """The values of a name: the family of elliptic curves has several."""
    value = named(kind, name)
    if value is None:
        raise InvalidValue(f"has no value {name!r}{suggestion(name, all_names(kind))}")
    return frozenset(ON_CURVES) if value is CryptographicAlgorithm.EC else frozenset({value})


def _values(kind: type[OpenEnum], value: object) -> frozenset[OpenEnum]:
    return frozenset().union(*(_value(kind, name) for name in _names(value)))


def _choice(kind: type[OpenEnum], value: object) -> Choice:
    if not isinstance(value, dict) or not value or value.keys() - {"allowed", "forbidden"}:
        raise InvalidValue("must be a table with the lists allowed and forbidden, or one of them")
    allowed = value.get("allowed")
    return Choice(
        None if allowed is None else _values(kind, allowed),
        _values(kind, value.get("forbidden", [])),
    )


def _lengths(value: object) -> Mapping[CryptographicAlgorithm, int]:
    if not isinstance(value, dict) or not value:
        raise InvalidValue(
            "must be a table of algorithms and numbers of bits, such as { RSA = 3072 }"
        )
    lengths = {}
    for name, bits in value.items():
        for algorithm in _value(CryptographicAlgorithm, name):
            lengths[CryptographicAlgorithm(algorithm)] = _bits(bits)
    return MappingProxyType(lengths)


def _usage(value: object) -> CryptographicUsageMask:
    usage = CryptographicUsageMask(0)
    for name in _names(value):
        number = mask_bit(Tag.CRYPTOGRAPHIC_USAGE_MASK, name)
        if number is None:
            names = [member.name for member in CryptographicUsageMask.bits()]
            raise InvalidValue(f"has no value {name!r}{suggestion(name.upper(), names)}")
        usage |= number
    return usage


_READERS: Mapping[str, tuple[str, Callable[[Any], Any]]] = MappingProxyType(
    {
        "from": ("since", _date),
        "object_types": ("object_types", lambda value: _values(ObjectType, value)),
        "usage": ("usage", _usage),
        "minimum_length": ("minimum_length", _lengths),
        "minimum_strength": ("minimum_strength", _bits),
        "quantum_safe": ("quantum_safe", flag),
        "maximum_age_days": ("maximum_age", _days(1)),
        "warn_days": ("warning_time", _days(0)),
        "process": ("refuses_processing", _process),
    }
)
"""The key in the document, the field of the rule, and the function from one to the other."""

_DEMANDS = ("minimum_length", "minimum_strength", "quantum_safe", "maximum_age_days")
"""The keys that demand something, besides the choices."""
