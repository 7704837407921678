"""Every operation that the server carries out, in one row each.

A row holds what the engine must know about an operation; see :class:`.registry.ServedOperation`.
What the protocol says about it (payload classes, versions, whether it may be repeated) is in
:mod:`kmipkit.model.operations`.
"""

from typing import Any

from kmipkit.spec.enums import Data, Operation
from kmipkit.spec.tags import Tag
from kmipkit_server.engine.registry import Handler, ServedOperation
from kmipkit_server.operations import (
    accounts,
    adjust_attribute,
    asynchronous,
    attributes,
    certify,
    check,
    constraints,
    create,
    create_key_pair,
    derive,
    encryption,
    export_import,
    get,
    leases,
    lifecycle,
    locate,
    login,
    mac,
    pkcs11,
    provision,
    query,
    register,
    rekey,
    rng,
    session,
    signing,
    split,
    validate,
)

O = Operation  # noqa: E741 - a table of rows is read by its columns


def _reads(operation: Operation, handler: Handler, **columns: Any) -> ServedOperation:
    """An operation that usually changes nothing."""
    return ServedOperation(operation=operation, handler=handler, **columns)


def _writes(operation: Operation, handler: Handler, **columns: Any) -> ServedOperation:
    """An operation that always changes the store."""
    return _reads(operation, handler, writes=True, **columns)


def _makes(operation: Operation, handler: Handler, **columns: Any) -> ServedOperation:
    """An operation that returns new objects of the client."""
    return _writes(operation, handler, creates=True, sets_placeholder=True, **columns)


STANDARD: tuple[ServedOperation, ...] = (
    # Creating objects.
    _makes(O.CREATE, create.create),
    _makes(O.CREATE_KEY_PAIR, create_key_pair.create_key_pair, computes=True),
    _makes(O.REGISTER, register.register),
    _makes(O.RE_KEY, rekey.re_key),
    _makes(O.RE_KEY_KEY_PAIR, rekey.re_key_key_pair, computes=True),
    _makes(O.DERIVE_KEY, derive.derive_key, computes=True),
    _makes(O.CERTIFY, certify.certify, computes=True),
    _makes(O.RE_CERTIFY, certify.re_certify, computes=True),
    _makes(O.RE_PROVISION, provision.re_provision, computes=True),
    _makes(O.CREATE_SPLIT_KEY, split.create_split_key, slow=True),
    _makes(O.JOIN_SPLIT_KEY, split.join_split_key),
    _makes(O.IMPORT, export_import.import_),
    # Finding and returning objects.
    _reads(O.LOCATE, locate.locate, scans=True, sets_placeholder=True),
    _reads(O.CHECK, check.check),
    _reads(O.GET, get.get),
    _reads(O.EXPORT, export_import.export, sets_placeholder=True),
    _reads(O.VALIDATE, validate.validate),
    # Attributes.
    _reads(O.GET_ATTRIBUTES, attributes.get_attributes),
    _reads(O.GET_ATTRIBUTE_LIST, attributes.get_attribute_list),
    _writes(O.ADD_ATTRIBUTE, attributes.add_attribute, changes=()),
    _writes(O.MODIFY_ATTRIBUTE, attributes.modify_attribute, changes=()),
    _writes(O.DELETE_ATTRIBUTE, attributes.delete_attribute, changes=()),
    _writes(O.SET_ATTRIBUTE, attributes.set_attribute_value, changes=()),
    _writes(O.ADJUST_ATTRIBUTE, adjust_attribute.adjust_attribute, changes=()),
    _reads(O.OBTAIN_LEASE, leases.obtain_lease),
    _writes(O.GET_USAGE_ALLOCATION, leases.get_usage_allocation),
    # State.
    _writes(O.ACTIVATE, lifecycle.activate, changes=(Tag.STATE, Tag.ACTIVATION_DATE)),
    _writes(O.REVOKE, lifecycle.revoke, changes=(Tag.STATE, Tag.REVOCATION_REASON)),
    _writes(O.DEACTIVATE, lifecycle.deactivate, changes=(Tag.STATE, Tag.DEACTIVATION_DATE)),
    _writes(O.DESTROY, lifecycle.destroy, changes=(Tag.STATE, Tag.DESTROY_DATE)),
    _writes(O.OBLITERATE, lifecycle.obliterate),
    _writes(O.ARCHIVE, lifecycle.archive),
    _writes(O.RECOVER, lifecycle.recover, sets_placeholder=True),
    # Cryptography with keys that stay on the server.
    _reads(O.ENCRYPT, encryption.encrypt, output=Data.ENCRYPT),
    _reads(O.DECRYPT, encryption.decrypt, output=Data.DECRYPT),
    _reads(O.SIGN, signing.sign, output=Data.SIGN_SIGNATURE_DATA),
    _reads(O.SIGNATURE_VERIFY, signing.signature_verify, output=Data.SIGNATURE_VERIFY),
    _reads(O.MAC, mac.mac, output=Data.MAC_MAC_DATA),
    _reads(O.MAC_VERIFY, mac.mac_verify),
    _reads(O.HASH, mac.hash_, output=Data.HASH),
    _reads(O.RNG_RETRIEVE, rng.rng_retrieve, output=Data.RNG_RETRIEVE),
    _reads(O.RNG_SEED, rng.rng_seed),
    _reads(O.PKCS_11, pkcs11.pkcs_11),
    # The server and its accounts.
    _reads(O.DISCOVER_VERSIONS, query.discover_versions, is_immediate=True),
    _reads(O.QUERY, query.query),
    _reads(O.PING, session.ping),
    _reads(O.LOG, session.log_message),
    _reads(O.INTEROP, session.interop),
    _reads(O.SET_ENDPOINT_ROLE, session.set_endpoint_role),
    _writes(O.LOGIN, login.login),
    _writes(O.DELEGATED_LOGIN, login.delegated_login),
    _writes(O.LOGOUT, login.logout),
    _reads(O.GET_CONSTRAINTS, constraints.get_constraints),
    _writes(O.SET_CONSTRAINTS, constraints.set_constraints),
    _writes(O.SET_DEFAULTS, constraints.set_defaults),
    _writes(O.CREATE_USER, accounts.create_user, sets_placeholder=True),
    _writes(O.CREATE_GROUP, accounts.create_group, sets_placeholder=True),
    _writes(O.CREATE_CREDENTIAL, accounts.create_credential, sets_placeholder=True, computes=True),
    # Asynchronous requests.
    _reads(O.POLL, asynchronous.poll, is_immediate=True),
    _reads(O.CANCEL, asynchronous.cancel, is_immediate=True),
    _reads(O.PROCESS, asynchronous.process, is_immediate=True),
    _reads(
        O.QUERY_ASYNCHRONOUS_REQUESTS, asynchronous.query_asynchronous_requests, is_immediate=True
    ),
)
