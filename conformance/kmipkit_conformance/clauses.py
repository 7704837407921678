"""The clause of each operation, for verdicts on steps of which a case says no more."""

from collections.abc import Mapping
from types import MappingProxyType

from kmipkit.spec.enums import Operation
from kmipkit.spec.versions import V2_0, Version

_CLAUSES: Mapping[Operation, tuple[str | None, str | None]] = MappingProxyType(
    {
        Operation.CREATE: ("4.1", "6.1.8"),
        Operation.CREATE_KEY_PAIR: ("4.2", "6.1.9"),
        Operation.REGISTER: ("4.3", "6.1.43"),
        Operation.RE_KEY: ("4.4", "6.1.46"),
        Operation.DERIVE_KEY: ("4.6", "6.1.14"),
        Operation.CERTIFY: ("4.7", "6.1.6"),
        Operation.RE_CERTIFY: ("4.8", "6.1.45"),
        Operation.LOCATE: ("4.9", "6.1.28"),
        Operation.CHECK: ("4.10", "6.1.7"),
        Operation.GET: ("4.11", "6.1.19"),
        Operation.GET_ATTRIBUTES: ("4.12", "6.1.20"),
        Operation.GET_ATTRIBUTE_LIST: ("4.13", "6.1.21"),
        Operation.ADD_ATTRIBUTE: ("4.14", "6.1.2"),
        Operation.MODIFY_ATTRIBUTE: ("4.15", "6.1.34"),
        Operation.DELETE_ATTRIBUTE: ("4.16", "6.1.13"),
        Operation.OBTAIN_LEASE: ("4.17", "6.1.35"),
        Operation.GET_USAGE_ALLOCATION: ("4.18", "6.1.23"),
        Operation.ACTIVATE: ("4.19", "6.1.1"),
        Operation.REVOKE: ("4.20", "6.1.44"),
        Operation.DESTROY: ("4.21", "6.1.15"),
        Operation.ARCHIVE: ("4.22", "6.1.4"),
        Operation.RECOVER: ("4.23", "6.1.42"),
        Operation.VALIDATE: ("4.24", "6.1.57"),
        Operation.QUERY: ("4.25", "6.1.40"),
        Operation.CANCEL: ("4.27", "6.1.5"),
        Operation.POLL: ("4.28", "6.1.38"),
        Operation.NOTIFY: ("5.1", "6.2.2"),
        Operation.PUT: ("5.2", "6.2.3"),
        Operation.RE_KEY_KEY_PAIR: ("4.5", "6.1.47"),
        Operation.DISCOVER_VERSIONS: ("4.26", "6.1.16"),
        Operation.ENCRYPT: ("4.29", "6.1.17"),
        Operation.DECRYPT: ("4.30", "6.1.11"),
        Operation.SIGN: ("4.31", "6.1.55"),
        Operation.SIGNATURE_VERIFY: ("4.32", "6.1.56"),
        Operation.MAC: ("4.33", "6.1.32"),
        Operation.MAC_VERIFY: ("4.34", "6.1.33"),
        Operation.RNG_RETRIEVE: ("4.35", "6.1.49"),
        Operation.RNG_SEED: ("4.36", "6.1.50"),
        Operation.HASH: ("4.37", "6.1.24"),
        Operation.CREATE_SPLIT_KEY: ("4.38", "6.1.10"),
        Operation.JOIN_SPLIT_KEY: ("4.39", "6.1.27"),
        Operation.IMPORT: ("4.41", "6.1.25"),
        Operation.EXPORT: ("4.40", "6.1.18"),
        Operation.LOG: (None, "6.1.29"),
        Operation.LOGIN: (None, "6.1.30"),
        Operation.LOGOUT: (None, "6.1.31"),
        Operation.DELEGATED_LOGIN: (None, "6.1.12"),
        Operation.ADJUST_ATTRIBUTE: (None, "6.1.3"),
        Operation.SET_ATTRIBUTE: (None, "6.1.51"),
        Operation.SET_ENDPOINT_ROLE: (None, "6.1.54"),
        Operation.PKCS_11: (None, "6.1.37"),
        Operation.INTEROP: (None, "6.1.26"),
        Operation.RE_PROVISION: (None, "6.1.48"),
        Operation.SET_DEFAULTS: (None, "6.1.53"),
        Operation.SET_CONSTRAINTS: (None, "6.1.52"),
        Operation.GET_CONSTRAINTS: (None, "6.1.22"),
        Operation.QUERY_ASYNCHRONOUS_REQUESTS: (None, "6.1.41"),
        Operation.PROCESS: (None, "6.1.39"),
        Operation.PING: (None, "6.1.36"),
    }
)
"""In KMIP 1.4, whose numbers are those of all later clauses of 1.x, and in KMIP 2.1."""


def clause(operation: Operation, version: Version) -> str:
    """``KMIP 1.4 §4.29``; empty for an operation that neither 1.4 nor 2.1 has."""
    old, new = _CLAUSES.get(operation, (None, None))
    is_old = version < V2_0
    number = old if is_old else new
    return f"KMIP {'1.4' if is_old else '2.1'} §{number}" if number else ""
