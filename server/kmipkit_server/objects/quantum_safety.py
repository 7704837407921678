"""Quantum Safe: a client may require that an object is quantum safe (KMIP 2.1 §4.45)."""

from kmipkit.errors import OperationError
from kmipkit.keys.quantum import is_quantum_safe
from kmipkit.model.attribute import Attributes
from kmipkit.spec.enums import CryptographicAlgorithm, ResultReason
from kmipkit.spec.tags import Tag
from kmipkit.spec.titles import title


def require_quantum_safe(attributes: Attributes) -> None:
    """Refuse an object that is to be quantum safe, and is not by its algorithm and length.

    The reason is that of the official case QS-M-2. Objects without an algorithm are not judged.
    """
    algorithm = attributes.get(Tag.CRYPTOGRAPHIC_ALGORITHM)
    if not attributes.get(Tag.QUANTUM_SAFE) or not isinstance(algorithm, CryptographicAlgorithm):
        return
    length = attributes.get(Tag.CRYPTOGRAPHIC_LENGTH)
    if not is_quantum_safe(algorithm, length):
        raise OperationError(
            ResultReason.GENERAL_FAILURE,
            f"{title(algorithm)} with {length} bits is not quantum safe, as Quantum Safe requires",
        )
