"""Calls of the API as calls of vCenter: names of parameters, and failures, as the API has them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from kmipkit_vsphere.model import errors
from kmipkit_vsphere.model.encoding import convert
from kmipkit_vsphere.model.keys import CryptoKeyId
from kmipkit_vsphere.vcenter.command import VCenterRequest
from kmipkit_vsphere.web_services.faults import Fault
from kmipkit_vsphere.web_services.vim25 import faults, keys

if TYPE_CHECKING:
    from kmipkit_vsphere.web_services.call import Call

A = TypeVar("A")
R = TypeVar("R", bound=VCenterRequest[Any])


def request(kind: type[R], members: Mapping[str, Any], names: Mapping[str, str] = {}) -> R:
    """A request of vCenter from the members that are set.

    ``names`` are those of the API, where they differ: the fault for a parameter that does not fit
    has them.
    """
    present = {name: value for name, value in members.items() if value is not None}
    try:
        return convert(present, kind)
    except errors.InvalidArgument as error:
        raise renamed(error, names) from None


def renamed(error: errors.InvalidArgument, names: Mapping[str, str]) -> errors.InvalidArgument:
    """The error with the parameter's name in the API."""
    parameter = str(error.arguments.get("invalid_property", ""))
    first, dot, rest = parameter.partition(".")
    name = names.get(first)
    if name is None:
        return error
    return errors.InvalidArgument(error.message, invalid_property=name + dot + rest)


@contextmanager
def undeclared(parameter: str, *declared: type[errors.VSphereError]) -> Iterator[None]:
    """Failures that a method does not declare, as runtime faults, which every method may raise.

    Typed clients can read no other. What does not exist, or exists already, is then an invalid
    argument: ``parameter``.
    """
    try:
        yield
    except declared:
        raise
    except (errors.NotFound, errors.AlreadyExists) as error:
        detail = faults.InvalidArgument(invalid_property=parameter)
        raise Fault(detail, error.message) from None
    except (errors.InvalidState, errors.ResourceInUse, errors.KeyNotUsable) as error:
        raise Fault(faults.RuntimeFault(), error.message) from None


async def run(
    call: "Call",
    of_vcenter: VCenterRequest[A],
    parameter: str,
    *declared: type[errors.VSphereError],
) -> A:
    """Make a call of vCenter; see :func:`undeclared`."""
    with undeclared(parameter, *declared):
        return await call.run(of_vcenter)


def key_members(key: keys.CryptoKeyId) -> dict[str, str]:
    """The members of a key id; the provider is empty if it is not given."""
    provider = key.provider_id.id if key.provider_id is not None else ""
    return {"providerId": provider, "keyId": key.key_id}


def key_of(key: keys.CryptoKeyId) -> CryptoKeyId:
    """A key id of vCenter, as it is: whether there is such a key is not known."""
    members = key_members(key)
    return CryptoKeyId(members["providerId"], members["keyId"])


def provider_named(call: "Call", key: keys.CryptoKeyId) -> keys.CryptoKeyId:
    """A key id that names a provider: without one it is of the default provider."""
    if key.provider_id is not None:
        return key
    default = call.vcenter.crypto.providers.default()
    provider = None if default is None else keys.KeyProviderId(id=default)
    return keys.CryptoKeyId(key_id=key.key_id, provider_id=provider)


def with_provider(call: "Call", key: keys.CryptoKeyPlain) -> keys.CryptoKeyPlain:
    """A key whose id names a provider."""
    return replace(key, key_id=provider_named(call, key.key_id))
