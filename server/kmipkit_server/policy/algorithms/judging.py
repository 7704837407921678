"""What the rules do not permit: pure functions from rules and facts to violations.

Each demand of a rule is a function in a table, so that new objects, uses of objects and the list of
affected objects are judged alike.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

from kmipkit.keys.parameters import Parameters
from kmipkit.keys.quantum import is_quantum_safe
from kmipkit.keys.signatures import ALGORITHMS
from kmipkit.spec.enumeration import OpenEnum
from kmipkit.spec.enums import (
    DigitalSignatureAlgorithm,
    HashingAlgorithm,
    RecommendedCurve,
    WrappingMethod,
)
from kmipkit_server.policy.algorithms.model import (
    ON_CURVES,
    AlgorithmRule,
    AlgorithmRules,
    Key,
    Subject,
    Violation,
)
from kmipkit_server.policy.algorithms.names import shown
from kmipkit_server.policy.algorithms.strength import (
    strength_of_key,
    strength_of_signature_hash,
)


def violations_of_new(rules: AlgorithmRules, key: Key) -> Iterator[Violation]:
    """What the rules do not permit in a new object."""
    for rule in _rules_about(rules, key):
        for text in _faults_of_key(rule, key):
            yield Violation(rule, text, rule.since)


def violations_of_use(rules: AlgorithmRules, key: Key, *, protects: bool) -> Iterator[Violation]:
    """What the rules do not permit in a key that is to be used; also what they will not soon."""
    for rule in _rules_about(rules, key):
        if not protects and not rule.refuses_processing:
            continue
        for text in _faults_of_key(rule, key):
            yield Violation(rule, text, rule.since)
        if rule.maximum_age is not None and key.began is not None:
            yield _of_age(rule, key.began)


def violations_of_parameters(
    rules: AlgorithmRules, key: Key | None, used: Parameters, *, protects: bool, signs: bool = False
) -> Iterator[Violation]:
    """What the rules do not permit in the way in which a key is used.

    ``used`` has the defaults for what the request omits. ``key`` is None for a hash without a key.
    """
    for rule in _rules_about(rules, key):
        if not protects and not rule.refuses_processing:
            continue
        for text in _faults_of_parameters(rule, key, used, signs=signs):
            yield Violation(rule, text, rule.since)


def violations_of_signature(
    rules: AlgorithmRules, key: Key, algorithm: DigitalSignatureAlgorithm
) -> Iterator[Violation]:
    """What the rules do not permit in the signature of a new certificate."""
    _, hashing = ALGORITHMS.get(algorithm, (None, None))
    for rule in _rules_about(rules, key):
        for text in _by_name(rule, Subject.SIGNATURE_ALGORITHMS, algorithm):
            yield Violation(rule, text, rule.since)
        for text in () if hashing is None else _by_name(rule, Subject.HASHING_ALGORITHMS, hashing):
            yield Violation(rule, text, rule.since)
        if rule.minimum_strength is not None:
            for text in _hash_of_signature(rule.minimum_strength, hashing):
                yield Violation(rule, text, rule.since)


def violations_of_wrapping(
    rules: AlgorithmRules, method: WrappingMethod, *, protects: bool
) -> Iterator[Violation]:
    """What the rules do not permit in a Wrapping Method."""
    for rule in rules.rules:
        if protects or rule.refuses_processing:
            for text in _by_name(rule, Subject.WRAPPING_METHODS, method):
                yield Violation(rule, text, rule.since)


def affected(rules: AlgorithmRules, key: Key) -> Iterator[Violation]:
    """What the rules do not permit in a stored object when it is to protect data, however far away."""
    return violations_of_use(rules, key, protects=True)


def noteworthy(violations: Iterable[Violation], now: datetime) -> Iterator[Violation]:
    """Those that are in force, or of which users are to be warned now.

    The server warns of a rule from when it is in the policy, but of an age only for some time before.
    """
    for each in violations:
        rule = each.rule
        is_of_age = each.begins is not None and each.begins != rule.since
        if not is_of_age or each.begins is None or each.begins - rule.warning_time <= now:
            yield each


# --- the rules that are about a key --------------------------------------------------------------


def _rules_about(rules: AlgorithmRules, key: Key | None) -> Iterator[AlgorithmRule]:
    for rule in rules.rules:
        if key is None:
            if not rule.object_types and not rule.usage:
                yield rule
        elif (not rule.object_types or key.object_type in rule.object_types) and (
            not rule.usage or rule.usage & key.usage
        ):
            yield rule


def _of_age(rule: AlgorithmRule, began: datetime) -> Violation:
    age = rule.maximum_age
    assert age is not None
    end = began + age
    if rule.since is not None and rule.since > end:
        end = rule.since
    text = (
        f"the key counts from {began:%Y-%m-%d}, and protects data for {age.days} days at most;"
        " replace it (Re-key)"
    )
    return Violation(rule, text, end)


# --- what a key must be --------------------------------------------------------------------------


def _by_name(rule: AlgorithmRule, subject: Subject, value: OpenEnum | None) -> Iterator[str]:
    choice = rule.choices.get(subject)
    if choice is not None and not choice.permits(value):
        if value is None:
            yield f"the {subject.value.removesuffix('s').replace('_', ' ')} is not known"
        else:
            yield f"{shown(value)} is not permitted"


def _curve(rule: AlgorithmRule, key: Key) -> Iterator[str]:
    if key.algorithm in ON_CURVES and key.has_known_curve:
        yield from _by_name(rule, Subject.CURVES, key.curve)


def _length(rule: AlgorithmRule, key: Key) -> Iterator[str]:
    minimum = rule.minimum_length.get(key.algorithm) if key.algorithm is not None else None
    if minimum is not None and (key.length is None or key.length < minimum):
        yield f"{_described(key)} is shorter than {minimum} bits"


def _strength(rule: AlgorithmRule, key: Key) -> Iterator[str]:
    if rule.minimum_strength is None or key.algorithm is None:
        return
    strength = strength_of_key(key.algorithm, key.length)
    if strength is None:
        yield f"the strength of {_described(key)} is not known"
    elif strength < rule.minimum_strength:
        yield (
            f"{_described(key)} has a strength of {strength} bits, less than"
            f" {rule.minimum_strength}"
        )


def _quantum(rule: AlgorithmRule, key: Key) -> Iterator[str]:
    if (
        rule.quantum_safe
        and key.algorithm is not None
        and not is_quantum_safe(key.algorithm, key.length)
    ):
        yield f"{_described(key)} is not quantum safe"


_OF_KEY: tuple[Callable[[AlgorithmRule, Key], Iterator[str]], ...] = (
    _curve,
    _length,
    _strength,
    _quantum,
)


def _faults_of_key(rule: AlgorithmRule, key: Key) -> Iterator[str]:
    if key.algorithm is None:
        return
    yield from _by_name(rule, Subject.ALGORITHMS, key.algorithm)
    for demand in _OF_KEY:
        yield from demand(rule, key)


def _described(key: Key) -> str:
    assert key.algorithm is not None
    length = "unknown length" if key.length is None else f"{key.length} bits"
    curve = f" on {shown(key.curve)}" if isinstance(key.curve, RecommendedCurve) else ""
    return f"{shown(key.algorithm)} with {length}{curve}"


# --- how it may be used --------------------------------------------------------------------------


def _faults_of_parameters(
    rule: AlgorithmRule, key: Key | None, used: Parameters, *, signs: bool
) -> Iterator[str]:
    algorithm = used.cryptographic_algorithm
    if algorithm is not None and (key is None or algorithm != key.algorithm):
        yield from _by_name(rule, Subject.ALGORITHMS, algorithm)
    for subject, values in (
        (Subject.BLOCK_CIPHER_MODES, (used.block_cipher_mode,)),
        (Subject.PADDING_METHODS, (used.padding_method,)),
        (Subject.SIGNATURE_ALGORITHMS, (used.digital_signature_algorithm,)),
        (
            Subject.HASHING_ALGORITHMS,
            (used.hashing_algorithm, used.mask_generator_hashing_algorithm),
        ),
    ):
        for value in dict.fromkeys(values):
            if value is not None:
                yield from _by_name(rule, subject, value)
    if signs and rule.minimum_strength is not None:
        yield from _hash_of_signature(rule.minimum_strength, used.hashing_algorithm)


def _hash_of_signature(minimum: int, hashing: HashingAlgorithm | None) -> Iterator[str]:
    strength = None if hashing is None else strength_of_signature_hash(hashing)
    if hashing is not None and (strength is None or strength < minimum):
        yield (
            f"a signature with {shown(hashing)} has a strength of {strength or 0} bits, less than"
            f" {minimum}"
        )
