"""The algorithm rules of the policy, where keys are made and where they are used.

What a rule does not permit is refused; what it will not permit later is noted, and the operation goes
on. New objects are refused with Constraint Violation: "the request failed because one or more
constraints were violated" (KMIP 2.1 §11.46; Permission Denied before 2.1). A stored key that may not be
used is a matter of Permission Denied, and parameters are Unsupported Cryptographic Parameters, which
"are valid in the specification but unsupported by the server".
"""

from collections.abc import Callable, Iterable

from kmipkit.errors import OperationError
from kmipkit.keys import describe
from kmipkit.keys.certificates import certificate_key
from kmipkit.keys.parameters import Parameters
from kmipkit.model.attribute import Attributes
from kmipkit.model.keyblock import KeyValue
from kmipkit.model.objects import OBJECT_TYPE_OF, Certificate, ManagedObject
from kmipkit.spec.enums import (
    CryptographicAlgorithm,
    DigitalSignatureAlgorithm,
    ObjectType,
    RecommendedCurve,
    ResultReason,
    WrappingMethod,
)
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit_server.engine.call import Call
from kmipkit_server.engine.exchange import Notice
from kmipkit_server.engine.permission import documents_in_force
from kmipkit_server.objects.managed import Managed, unpack_object
from kmipkit_server.policy.active import NO_POLICY
from kmipkit_server.policy.algorithms import judging
from kmipkit_server.policy.algorithms.document import SECTION
from kmipkit_server.policy.algorithms.model import (
    NO_RULES,
    ON_CURVES,
    AlgorithmRules,
    Key,
    Violation,
)
from kmipkit_server.policy.decision import Documents


def rules_in_force(call: Call) -> AlgorithmRules:
    """The algorithm rules for this client."""
    return rules_of(documents_in_force(call))


def rules_of(documents: Documents) -> AlgorithmRules:
    """The algorithm rules of documents: those of the server, and those of a tenant."""
    if documents is NO_POLICY:
        return NO_RULES
    rules: AlgorithmRules = documents.server.sections.get(SECTION, NO_RULES)
    if documents.tenant is None:
        return rules
    return rules.plus(documents.tenant.sections.get(SECTION, NO_RULES))


def require_new(
    call: Call, object_type: ObjectType, attributes: Attributes, material: bytes | None
) -> None:
    """Refuse a new object that a rule does not permit (Constraint Violation)."""
    rules = rules_in_force(call)
    if not rules:
        return
    key = _facts(rules, object_type, attributes, lambda: material)
    _decide(call, judging.violations_of_new(rules, key), ResultReason.CONSTRAINT_VIOLATION)
    algorithm = attributes.get(Tag.DIGITAL_SIGNATURE_ALGORITHM)
    if object_type is ObjectType.CERTIFICATE and isinstance(algorithm, DigitalSignatureAlgorithm):
        violations = judging.violations_of_signature(rules, key, algorithm)
        _decide(call, violations, ResultReason.CONSTRAINT_VIOLATION)


def require_usable(call: Call, managed: Managed, *, protects: bool) -> None:
    """Refuse a key that a rule does not permit to use, or that is too old (Permission Denied)."""
    rules = rules_in_force(call)
    if rules:
        violations = judging.violations_of_use(rules, facts_of(rules, managed), protects=protects)
        _decide(call, violations, ResultReason.PERMISSION_DENIED)


def require_parameters(
    call: Call, managed: Managed | None, used: Parameters, *, protects: bool, signs: bool = False
) -> None:
    """Refuse parameters that a rule does not permit (Unsupported Cryptographic Parameters).

    ``used`` has the defaults for what the request omits (:mod:`kmipkit.keys.effective`).
    """
    rules = rules_in_force(call)
    if rules:
        key = None if managed is None else facts_of(rules, managed)
        violations = judging.violations_of_parameters(
            rules, key, used, protects=protects, signs=signs
        )
        _decide(call, violations, ResultReason.UNSUPPORTED_CRYPTOGRAPHIC_PARAMETERS)


def require_wrapping_method(call: Call, method: WrappingMethod, *, protects: bool) -> None:
    """Refuse a Wrapping Method that a rule does not permit (Key Wrap Type Not Supported)."""
    rules = rules_in_force(call)
    if rules:
        violations = judging.violations_of_wrapping(rules, method, protects=protects)
        _decide(call, violations, ResultReason.KEY_WRAP_TYPE_NOT_SUPPORTED)


def facts_of(rules: AlgorithmRules, managed: Managed) -> Key:
    """What the rules look at in a stored object."""
    record = managed.record
    key = _facts(rules, record.object_type, managed.attributes, lambda: record.material)
    # "If no Offset is specified, the Activation Date [is] copied from the existing key" (KMIP 1.4 §4.4
    # on Re-key), so it may be older than the key itself.
    dates = (record.activation, managed.get(Tag.INITIAL_DATE))
    passed = [date for date in dates if date is not None and date <= managed.now]
    return key._replace(began=max(passed, default=None))


def facts_without_material(managed: Managed) -> Key:
    """The same without opening the key, for administrators: the curve is not judged."""
    return facts_of(NO_RULES, managed)._replace(has_known_curve=False)


def _decide(call: Call, violations: Iterable[Violation], reason: ResultReason) -> None:
    for each in judging.noteworthy(violations, call.now):
        if each.is_in_force(call.now):
            raise OperationError(reason, each.message(call.now))
        call.note(Notice(each.rule.name, each.message(call.now), is_warning=True))


def _facts(
    rules: AlgorithmRules,
    object_type: ObjectType,
    attributes: Attributes,
    material: Callable[[], bytes | None],
) -> Key:
    """``material`` is called only if a rule needs it."""
    algorithm = attributes.get(Tag.CRYPTOGRAPHIC_ALGORITHM)
    length = attributes.get(Tag.CRYPTOGRAPHIC_LENGTH)
    curve = None
    if rules.name_curves and algorithm in ON_CURVES:
        data = material()
        curve = None if data is None else curve_of(unpack_object(data, object_type))
    return Key(
        object_type,
        algorithm if isinstance(algorithm, CryptographicAlgorithm) else None,
        length if isinstance(length, int) else None,
        curve,
        attributes.get(Tag.CRYPTOGRAPHIC_USAGE_MASK) or CryptographicUsageMask(0),
    )


def curve_of(value: ManagedObject) -> RecommendedCurve | None:
    """The curve of a key or certificate by its bytes, whatever its attributes claim; None if the
    server cannot see it."""
    try:
        if isinstance(value, Certificate):
            return describe.public_key_facts(certificate_key(value.certificate_value)).curve
        block = getattr(value, "key_block", None)
        if block is None or not isinstance(block.key_value, KeyValue):
            return None
        material = block.key_value.key_material
        if not isinstance(material, bytes):
            return getattr(material, "recommended_curve", None)
        return describe.describe_key(
            material,
            block.key_format_type,
            OBJECT_TYPE_OF[type(value)],
            block.cryptographic_algorithm,
        ).curve
    except OperationError:
        return None
