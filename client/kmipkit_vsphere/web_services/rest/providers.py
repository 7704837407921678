"""Native key providers, and the native and trusted ones of a host (vsphere.md §8)."""

import re
from typing import Any, Final
from uuid import UUID

from msgspec import Struct

from kmipkit_vsphere.model.encoding import convert
from kmipkit_vsphere.model.errors import AlreadyExists, NotFound
from kmipkit_vsphere.model.keys import Secret, SecretText
from kmipkit_vsphere.model.message import Text
from kmipkit_vsphere.model.records import ManagementType
from kmipkit_vsphere.vcenter.calls.native import (
    CreateNativeProvider,
    DeleteNativeProvider,
    ExportProvider,
    GetNativeProvider,
    HostProvider,
    ImportProvider,
    ListHostProviders,
    ListNativeProviders,
    NativeHealth,
    NativeProviderStatus,
    ReplacePrimaryKey,
)
from kmipkit_vsphere.web_services.application import HTTPResponse
from kmipkit_vsphere.web_services.faults import Fault
from kmipkit_vsphere.web_services.rest.answers import answer, message_of
from kmipkit_vsphere.web_services.rest.routing import RESTCall, route
from kmipkit_vsphere.web_services.vim25.declaration import Ref

BASE: Final = "/api/vcenter/crypto-manager/kms/providers"
OF_HOST: Final = "/api/vcenter/crypto-manager/hosts/{host}/kms/providers"
ONE: Final = BASE + "/{provider}"

_NATIVE: Final = "NATIVE"
_TYPES: Final = {
    ManagementType.NATIVE.value: _NATIVE,
    ManagementType.TRUSTED.value: "TRUST_AUTHORITY",
}
_AUTHORITY: Final = re.compile(r"[A-Za-z0-9.\-]+(:\d{1,5})?|\[[0-9A-Fa-f:.]+\](:\d{1,5})?")


class Constraints(Struct):
    """What hosts need for a provider."""

    tpm_required: bool = True


class NativeSpec(Struct):
    """The primary key of a new provider; what is not given is random."""

    key_id: UUID | None = None
    key_derivation_key: Secret | None = None


class CreateSpec(Struct):
    """A new provider."""

    provider: Text
    constraints: Constraints | None = None
    native_spec: NativeSpec | None = None


class NativeUpdate(Struct):
    """A new primary key."""

    key_id: UUID | None = None


class UpdateSpec(Struct):
    """A change of a provider."""

    native_spec: NativeUpdate | None = None


class ExportSpec(Struct):
    """Which provider to back up; without a password, anyone can read the file."""

    provider: Text
    password: SecretText | None = None


class ImportSpec(Struct):
    """The backup of a provider."""

    config: bytes
    password: SecretText | None = None
    constraints: Constraints | None = None
    dry_run: bool = False


# The collection -----------------------------------------------------------------------------------


@route("POST", BASE)
async def create(call: RESTCall) -> HTTPResponse:
    """Create a provider."""
    spec = call.read(CreateSpec)
    native = spec.native_spec or NativeSpec()
    constraints = spec.constraints or Constraints()
    made = await call.run(
        CreateNativeProvider(
            spec.provider,
            any_host=not constraints.tpm_required,
            key_id=native.key_id,
            key_derivation_key=native.key_derivation_key,
        )
    )
    return answer(made.provider, 201)


@route("GET", BASE)
async def list_providers(call: RESTCall) -> HTTPResponse:
    """List the providers, all or those of some names and health."""
    health = call.query.get("health")
    selection = ListNativeProviders(
        call.query.get("providers"),
        convert(health, list[NativeHealth]) if health is not None else None,
    )
    found = await call.run(selection)
    return answer(
        [
            {"provider": status.provider, "type": _NATIVE, "health": status.health}
            for status in found
        ]
    )


@route("POST", BASE, "export")
async def export(call: RESTCall) -> HTTPResponse:
    """Prepare a backup; the answer says where it can be downloaded, once."""
    spec = call.read(ExportSpec)
    prepared = await call.run(ExportProvider(spec.provider, spec.password or None))
    location = prepared.location
    token = location.download_token
    return answer(
        {
            "type": prepared.type,
            "location": {
                "url": _origin(call) + location.url,
                "download_token": {"token": token.token, "expiry": token.expiry},
            },
        }
    )


@route("POST", BASE, "import")
async def restore(call: RESTCall) -> HTTPResponse:
    """Restore a provider from its backup, or only look whether that is possible."""
    spec = call.read(ImportSpec)
    restored = await call.run(
        ImportProvider(
            spec.config,
            spec.password or None,
            spec.dry_run,
            spec.constraints.tpm_required if spec.constraints is not None else None,
        )
    )
    exists = call.endpoint.vcenter.store.providers.exists(restored.provider)
    if not restored.restored and exists:
        raise AlreadyExists(f"there is a key provider {restored.provider} already")
    return answer(
        {
            "provider": restored.provider,
            "type": _NATIVE,
            "native_info": {"key_id": restored.key_id},
            "export_time": restored.export_time,
            "constraints": {"tpm_required": restored.tpm_required},
        }
    )


def _origin(call: RESTCall) -> str:
    """Scheme, host and port as the client knows them."""
    host = call.http.headers.get("host", "")
    authority = host if _AUTHORITY.fullmatch(host) else "localhost"
    return f"{'https' if call.http.is_tls else 'http'}://{authority}"


# One provider -------------------------------------------------------------------------------------


@route("GET", ONE)
async def get(call: RESTCall) -> HTTPResponse:
    """Show a provider."""
    return answer(_info(await call.run(GetNativeProvider(call.path["provider"]))))


@route("PATCH", ONE)
async def update(call: RESTCall) -> HTTPResponse:
    """Give a provider a new primary key; it needs another backup then."""
    spec, provider = call.read(UpdateSpec), call.path["provider"]
    if spec.native_spec is None:
        await call.run(GetNativeProvider(provider))
    else:
        await call.run(ReplacePrimaryKey(provider, spec.native_spec.key_id))
    return HTTPResponse(204)


@route("DELETE", ONE)
async def delete(call: RESTCall) -> HTTPResponse:
    """Delete a provider that nothing uses."""
    await call.run(DeleteNativeProvider(call.path["provider"]))
    return HTTPResponse(204)


def _info(status: NativeProviderStatus) -> dict[str, Any]:
    return {
        "health": status.health,
        "details": _details(status.health, status.reason),
        "constraints": {"tpm_required": status.tpm_required},
        "type": _NATIVE,
        "native_info": {"key_id": status.key_id},
    }


def _details(health: NativeHealth, reason: str) -> list[dict[str, Any]]:
    return [] if health is NativeHealth.OK else [message_of("kmipkit.vcenter.health", reason)]


# Providers of a host ------------------------------------------------------------------------------


async def _of_host(call: RESTCall) -> list[HostProvider]:
    try:
        entity = call.call.entity_of(Ref("HostSystem", call.path["host"]))
    except Fault as missing:
        raise NotFound(missing.message) from None
    return await call.run(ListHostProviders(entity.removeprefix("host/")))


@route("GET", OF_HOST)
async def list_of_host(call: RESTCall) -> HTTPResponse:
    """List the providers from which a host gets keys itself."""
    names, health = call.query.get("providers"), call.query.get("health")
    return answer(
        [
            {
                "provider": known.provider,
                "type": _TYPES[known.management_type],
                "health": known.health,
            }
            for known in await _of_host(call)
            if (names is None or known.provider in names)
            and (health is None or known.health in health)
        ]
    )


@route("GET", OF_HOST + "/{provider}")
async def get_of_host(call: RESTCall) -> HTTPResponse:
    """Show one of them."""
    for known in await _of_host(call):
        if known.provider == call.path["provider"]:
            return answer(
                {
                    "health": known.health,
                    "details": _details(known.health, known.reason),
                    "type": _TYPES[known.management_type],
                }
            )
    raise NotFound(f"the host has no key provider {call.path['provider']}")
