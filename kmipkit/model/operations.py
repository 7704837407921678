"""The operations of the protocol, one row for each.

A row has the payload classes of an operation, the versions that have it, the side that sends it, and
whether a client can send it twice without harm. Codec, client and server use these rows. Payload
classes of the standard are imported on first use; the rows name them by module and class.

Vendors add their own rows with :func:`register`. Operations without a row can also be read and
written: their payloads are generic items (:class:`kmipkit.ttlv.tree.Item`).
"""

from dataclasses import dataclass
from functools import cache
from importlib import import_module

from kmipkit.model.structure import Structure
from kmipkit.spec.enums import Operation
from kmipkit.spec.operation_spec import Side
from kmipkit.spec.operations import BY_OPERATION
from kmipkit.spec.versions import V1_0, Version

VENDOR_CODES = range(0x80000000, 0x90000000)
"""Operation codes that the standard reserves for vendors (KMIP 1.4 §9.1.3.2.27: 8XXXXXXX)."""

PayloadClass = type[Structure] | str
"""A payload class, or ``module:Class`` for one that is imported on first use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationRow:
    """One operation. ``since`` and ``until`` are the first and last version that have it."""

    operation: Operation
    request_payload: PayloadClass
    response_payload: PayloadClass | None
    """None if a response has no payload, or that of another operation (Poll)."""
    sides: Side = Side.FROM_CLIENT
    """The sides of a connection that may request it."""
    may_be_repeated: bool = False
    """Whether the operation changes nothing, so that it can be sent twice without harm."""
    since: Version = V1_0
    until: Version | None = None

    def known_in(self, version: Version) -> bool:
        """Whether this version has the operation."""
        return self.since <= version and (self.until is None or version <= self.until)

    def request(self, version: Version) -> type[Structure] | None:
        """The class of the request payload; None if the version does not have the operation."""
        return _load(self.request_payload) if self.known_in(version) else None

    def response(self, version: Version) -> type[Structure] | None:
        """The class of the response payload; None as for requests, or if there is no payload."""
        if self.response_payload is None or not self.known_in(version):
            return None
        return _load(self.response_payload)


def row(operation: int) -> OperationRow | None:
    """The row of an operation code; None if the code is not registered."""
    return _ROWS.get(operation)


def register(row: OperationRow) -> None:
    """Add a vendor's operation, so that its payloads are read and written as declared structures.

    It takes effect at once, also for open connections. Raises ValueError for a code of the standard,
    and for a code that already has a different row.
    """
    code = f"0x{row.operation:08X}"
    if int(row.operation) not in VENDOR_CODES:  # a range searches for a subclass of int
        message = f"operation code {code} belongs to the standard; vendors use 8XXXXXXX"
        raise ValueError(message)
    if _ROWS.setdefault(row.operation, row) != row:
        raise ValueError(f"operation code {code} is already registered with other payloads")


def request_payload(operation: Operation, version: Version) -> type[Structure] | None:
    """The class of an operation's request payload; None for a generic item."""
    row = _ROWS.get(operation)
    return None if row is None else row.request(version)


def response_payload(operation: Operation, version: Version) -> type[Structure] | None:
    """The class of an operation's response payload; None for a generic item."""
    row = _ROWS.get(operation)
    return None if row is None else row.response(version)


def _load(payload: PayloadClass) -> type[Structure]:
    return _import(payload) if isinstance(payload, str) else payload


@cache
def _import(path: str) -> type[Structure]:
    module, name = path.split(":")
    payload: type[Structure] = getattr(import_module(module), name)
    return payload


def _standard(
    operation: Operation,
    family: str,
    name: str,
    *,
    has_response_payload: bool = True,
    may_be_repeated: bool = False,
) -> OperationRow:
    """A row of the standard; sides and versions come from the specification's tables."""
    path = f"kmipkit.model.payloads.{family}:{name}"
    return OperationRow(
        operation=operation,
        request_payload=f"{path}Request",
        response_payload=f"{path}Response" if has_response_payload else None,
        sides=BY_OPERATION[operation].sides,
        may_be_repeated=may_be_repeated,
        since=operation.since,
        until=operation.until,
    )


STANDARD = (
    _standard(Operation.CREATE, "create", "Create"),
    _standard(Operation.CREATE_KEY_PAIR, "create", "CreateKeyPair"),
    _standard(Operation.REGISTER, "register", "Register"),
    _standard(Operation.RE_KEY, "rekey", "ReKey"),
    _standard(Operation.DERIVE_KEY, "rekey", "DeriveKey"),
    _standard(Operation.CERTIFY, "certify", "Certify"),
    _standard(Operation.RE_CERTIFY, "certify", "ReCertify"),
    _standard(Operation.LOCATE, "locate", "Locate", may_be_repeated=True),
    _standard(Operation.CHECK, "lifecycle", "Check", may_be_repeated=True),
    _standard(Operation.GET, "get", "Get", may_be_repeated=True),
    _standard(Operation.GET_ATTRIBUTES, "attributes", "GetAttributes", may_be_repeated=True),
    _standard(Operation.GET_ATTRIBUTE_LIST, "attributes", "GetAttributeList", may_be_repeated=True),
    _standard(Operation.ADD_ATTRIBUTE, "attributes", "AddAttribute"),
    _standard(Operation.MODIFY_ATTRIBUTE, "attributes", "ModifyAttribute"),
    _standard(Operation.DELETE_ATTRIBUTE, "attributes", "DeleteAttribute"),
    _standard(Operation.OBTAIN_LEASE, "lifecycle", "ObtainLease"),
    _standard(Operation.GET_USAGE_ALLOCATION, "lifecycle", "GetUsageAllocation"),
    _standard(Operation.ACTIVATE, "lifecycle", "Activate"),
    _standard(Operation.REVOKE, "lifecycle", "Revoke"),
    _standard(Operation.DESTROY, "lifecycle", "Destroy"),
    _standard(Operation.ARCHIVE, "lifecycle", "Archive"),
    _standard(Operation.RECOVER, "lifecycle", "Recover"),
    _standard(Operation.VALIDATE, "certify", "Validate", may_be_repeated=True),
    _standard(Operation.QUERY, "query", "Query", may_be_repeated=True),
    _standard(Operation.CANCEL, "asynchronous", "Cancel"),
    _standard(Operation.POLL, "asynchronous", "Poll", has_response_payload=False),
    _standard(Operation.NOTIFY, "notify", "Notify", has_response_payload=False),
    _standard(Operation.PUT, "notify", "Put", has_response_payload=False),
    _standard(Operation.RE_KEY_KEY_PAIR, "rekey", "ReKeyKeyPair"),
    _standard(Operation.DISCOVER_VERSIONS, "query", "DiscoverVersions", may_be_repeated=True),
    _standard(Operation.ENCRYPT, "crypto", "Encrypt"),
    _standard(Operation.DECRYPT, "crypto", "Decrypt"),
    _standard(Operation.SIGN, "crypto", "Sign"),
    _standard(Operation.SIGNATURE_VERIFY, "crypto", "SignatureVerify", may_be_repeated=True),
    _standard(Operation.MAC, "crypto", "MAC"),
    _standard(Operation.MAC_VERIFY, "crypto", "MACVerify", may_be_repeated=True),
    _standard(Operation.RNG_RETRIEVE, "crypto", "RNGRetrieve", may_be_repeated=True),
    _standard(Operation.RNG_SEED, "crypto", "RNGSeed"),
    _standard(Operation.HASH, "crypto", "Hash", may_be_repeated=True),
    _standard(Operation.CREATE_SPLIT_KEY, "create", "CreateSplitKey"),
    _standard(Operation.JOIN_SPLIT_KEY, "create", "JoinSplitKey"),
    _standard(Operation.IMPORT, "register", "Import"),
    _standard(Operation.EXPORT, "register", "Export", may_be_repeated=True),
    _standard(Operation.LOG, "session", "Log"),
    _standard(Operation.LOGIN, "session", "Login"),
    _standard(Operation.LOGOUT, "session", "Logout"),
    _standard(Operation.DELEGATED_LOGIN, "session", "DelegatedLogin"),
    _standard(Operation.ADJUST_ATTRIBUTE, "attributes", "AdjustAttribute"),
    _standard(Operation.SET_ATTRIBUTE, "attributes", "SetAttribute"),
    _standard(Operation.SET_ENDPOINT_ROLE, "session", "SetEndpointRole"),
    _standard(Operation.PKCS_11, "session", "PKCS11"),
    _standard(Operation.INTEROP, "session", "Interop"),
    _standard(Operation.RE_PROVISION, "certify", "ReProvision"),
    _standard(Operation.SET_DEFAULTS, "limits", "SetDefaults"),
    _standard(Operation.SET_CONSTRAINTS, "limits", "SetConstraints"),
    _standard(Operation.GET_CONSTRAINTS, "limits", "GetConstraints", may_be_repeated=True),
    _standard(
        Operation.QUERY_ASYNCHRONOUS_REQUESTS,
        "asynchronous",
        "QueryAsynchronousRequests",
        may_be_repeated=True,
    ),
    _standard(Operation.PROCESS, "asynchronous", "Process"),
    _standard(Operation.CREATE_USER, "accounts", "CreateUser"),
    _standard(Operation.CREATE_GROUP, "accounts", "CreateGroup"),
    _standard(Operation.CREATE_CREDENTIAL, "accounts", "CreateCredential"),
    _standard(Operation.DEACTIVATE, "lifecycle", "Deactivate"),
    _standard(Operation.OBLITERATE, "lifecycle", "Obliterate"),
    _standard(Operation.PING, "session", "Ping", may_be_repeated=True),
)
"""The operations of the standard, in its order."""

_ROWS: dict[int, OperationRow] = {row.operation: row for row in STANDARD}
