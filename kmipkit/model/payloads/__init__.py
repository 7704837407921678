"""The payloads of all operations, one small module per family, imported on first use.

A payload is one class for all versions, named after its operation: ``GetRequest``,
``GetResponse``. Fields have the standard's names in snake case, in the plural where they may be
repeated; a field that changed its name between 1.x and 2.x has one name, mostly that of 2.x.
Operations that a server sends to a client have their classes here too.
"""

from functools import cache
from importlib import import_module

from kmipkit.model.structure import Structure
from kmipkit.spec.enums import Operation
from kmipkit.spec.versions import Version

_FAMILIES: dict[Operation, tuple[str, str]] = {
    Operation.CREATE: ("create", "Create"),
    Operation.CREATE_KEY_PAIR: ("create", "CreateKeyPair"),
    Operation.REGISTER: ("register", "Register"),
    Operation.RE_KEY: ("rekey", "ReKey"),
    Operation.DERIVE_KEY: ("rekey", "DeriveKey"),
    Operation.CERTIFY: ("certify", "Certify"),
    Operation.RE_CERTIFY: ("certify", "ReCertify"),
    Operation.LOCATE: ("locate", "Locate"),
    Operation.CHECK: ("lifecycle", "Check"),
    Operation.GET: ("get", "Get"),
    Operation.GET_ATTRIBUTES: ("attributes", "GetAttributes"),
    Operation.GET_ATTRIBUTE_LIST: ("attributes", "GetAttributeList"),
    Operation.ADD_ATTRIBUTE: ("attributes", "AddAttribute"),
    Operation.MODIFY_ATTRIBUTE: ("attributes", "ModifyAttribute"),
    Operation.DELETE_ATTRIBUTE: ("attributes", "DeleteAttribute"),
    Operation.OBTAIN_LEASE: ("lifecycle", "ObtainLease"),
    Operation.GET_USAGE_ALLOCATION: ("lifecycle", "GetUsageAllocation"),
    Operation.ACTIVATE: ("lifecycle", "Activate"),
    Operation.REVOKE: ("lifecycle", "Revoke"),
    Operation.DESTROY: ("lifecycle", "Destroy"),
    Operation.ARCHIVE: ("lifecycle", "Archive"),
    Operation.RECOVER: ("lifecycle", "Recover"),
    Operation.VALIDATE: ("certify", "Validate"),
    Operation.QUERY: ("query", "Query"),
    Operation.CANCEL: ("asynchronous", "Cancel"),
    Operation.POLL: ("asynchronous", "Poll"),
    Operation.NOTIFY: ("notify", "Notify"),
    Operation.PUT: ("notify", "Put"),
    Operation.RE_KEY_KEY_PAIR: ("rekey", "ReKeyKeyPair"),
    Operation.DISCOVER_VERSIONS: ("query", "DiscoverVersions"),
    Operation.ENCRYPT: ("crypto", "Encrypt"),
    Operation.DECRYPT: ("crypto", "Decrypt"),
    Operation.SIGN: ("crypto", "Sign"),
    Operation.SIGNATURE_VERIFY: ("crypto", "SignatureVerify"),
    Operation.MAC: ("crypto", "MAC"),
    Operation.MAC_VERIFY: ("crypto", "MACVerify"),
    Operation.RNG_RETRIEVE: ("crypto", "RNGRetrieve"),
    Operation.RNG_SEED: ("crypto", "RNGSeed"),
    Operation.HASH: ("crypto", "Hash"),
    Operation.CREATE_SPLIT_KEY: ("create", "CreateSplitKey"),
    Operation.JOIN_SPLIT_KEY: ("create", "JoinSplitKey"),
    Operation.IMPORT: ("register", "Import"),
    Operation.EXPORT: ("register", "Export"),
    Operation.LOG: ("session", "Log"),
    Operation.LOGIN: ("session", "Login"),
    Operation.LOGOUT: ("session", "Logout"),
    Operation.DELEGATED_LOGIN: ("session", "DelegatedLogin"),
    Operation.ADJUST_ATTRIBUTE: ("attributes", "AdjustAttribute"),
    Operation.SET_ATTRIBUTE: ("attributes", "SetAttribute"),
    Operation.SET_ENDPOINT_ROLE: ("session", "SetEndpointRole"),
    Operation.PKCS_11: ("session", "PKCS11"),
    Operation.INTEROP: ("session", "Interop"),
    Operation.RE_PROVISION: ("certify", "ReProvision"),
    Operation.SET_DEFAULTS: ("limits", "SetDefaults"),
    Operation.SET_CONSTRAINTS: ("limits", "SetConstraints"),
    Operation.GET_CONSTRAINTS: ("limits", "GetConstraints"),
    Operation.QUERY_ASYNCHRONOUS_REQUESTS: ("asynchronous", "QueryAsynchronousRequests"),
    Operation.PROCESS: ("asynchronous", "Process"),
    Operation.CREATE_USER: ("accounts", "CreateUser"),
    Operation.CREATE_GROUP: ("accounts", "CreateGroup"),
    Operation.CREATE_CREDENTIAL: ("accounts", "CreateCredential"),
    Operation.DEACTIVATE: ("lifecycle", "Deactivate"),
    Operation.OBLITERATE: ("lifecycle", "Obliterate"),
    Operation.PING: ("session", "Ping"),
}

NO_RESPONSE_PAYLOAD = frozenset((Operation.POLL, Operation.NOTIFY, Operation.PUT))
"""Poll is answered as the operation it asks about (1.4 §4.28); Notify and Put without payload."""


def request_payload(operation: Operation, version: Version) -> type[Structure] | None:
    """The request payload of an operation; None where the version does not have the operation.

    The payload is then kept as a generic item, so that vendors' operations survive.
    """
    return _payload(operation, version, "Request")


def response_payload(operation: Operation, version: Version) -> type[Structure] | None:
    """The response payload of an operation; None as for requests, and where it has no such."""
    if operation in NO_RESPONSE_PAYLOAD:
        return None
    return _payload(operation, version, "Response")


def _payload(operation: Operation, version: Version, suffix: str) -> type[Structure] | None:
    row = _FAMILIES.get(operation)
    if row is None or not operation.known_in(version):
        return None
    return _class(row[0], row[1] + suffix)


@cache
def _class(family: str, name: str) -> type[Structure]:
    made: type[Structure] = getattr(import_module(f"{__name__}.{family}"), name)
    return made
