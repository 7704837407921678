"""Routes for the keys that protect the store: which there are, and their rotation."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec

from kmipkit.errors import KMIPError
from kmipkit_server.administration.context import Context
from kmipkit_server.administration.problems import conflict, unprocessable
from kmipkit_server.administration.routes import Empty, Request, Route, Who
from kmipkit_server.config import Config
from kmipkit_server.store.errors import StoreError
from kmipkit_server.store.inventory import Inventory, InventoryTransaction
from kmipkit_server.store.key_rotation import KeyFigures, Prepared, Rotation, RotationRefused
from kmipkit_server.vault import kinds, modules, pkcs11_uri
from kmipkit_server.vault.base import Vault
from kmipkit_server.vault.counter import counter_of
from kmipkit_server.vault.errors import VaultError
from kmipkit_server.vault.uri import RootKeyURI

MAX_URI = 4096


class RootKey(msgspec.Struct, frozen=True):
    """A root key that the store needs."""

    identifier: str
    """It identifies the key wherever it is, and does not reveal it."""
    kind: str
    place: str
    """Its URI, when the store was opened with it last."""
    data_keys: int
    """Data keys that depend on it."""


class RotationProgress(msgspec.Struct, frozen=True):
    """A rotation in progress."""

    kind: str
    """``root`` or ``data``."""
    root_key: str | None
    """The identifier of the new root key."""
    total: int
    """Data keys to be wrapped, or objects to be sealed, again."""
    remaining: int
    started: datetime
    account: str
    """Who has asked for it."""
    problem: str | None
    """Why it does not go on."""


class Keys(msgspec.Struct, frozen=True):
    """The keys that protect the store."""

    root_keys: tuple[RootKey, ...]
    """One, or two while the root key is rotated."""
    data_keys: int
    sealed: int
    """What the data keys seal: objects, and some of what the server keeps for itself."""
    rotation: RotationProgress | None


class RotateRoot(Request, frozen=True):
    """The new root key."""

    to: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_URI)]
    """Its URI, as in the setting store.root_key; paths are absolute."""


async def show_keys(context: Context, _request: Empty) -> Keys:
    """The root keys, the number of data keys, and the rotation in progress."""
    rotator = context.parts.rotator

    def read(reader: Inventory) -> KeyFigures:
        return reader.key_figures()

    try:
        figures: KeyFigures = await context.parts.store.run(
            read, slow=True, account=context.identity.name
        )
    except StoreError as error:
        raise conflict(str(error)) from None
    return _keys(figures, rotator.problem if rotator else "")


async def rotate_root(context: Context, request: RotateRoot) -> Keys:
    """Begin a rotation of the root key, which goes on in the background."""
    context.request.subject = request.to
    rotator, config = context.rotator, context.parts.config()
    uri = _root_key_uri(request.to)
    if context.parts.live is not None:
        _require_permitted(uri, config)
    may_ask = context.parts.live is None

    def prepare(reader: Inventory) -> Prepared:
        return rotator.rotations.prepare(reader, _opened(uri, config, may_ask=may_ask))

    prepared = await _refusing(context.read, prepare)

    def begin(transaction: InventoryTransaction) -> Rotation:
        return rotator.rotations.begin_root(
            transaction, prepared, context.now, context.identity.name
        )

    return await _begun(context, begin, lambda: rotator.rotations.root_began(prepared))


async def rotate_data(context: Context, _request: Empty) -> Keys:
    """Begin a rotation of the data keys, which goes on in the background."""
    rotator = context.rotator

    def begin(transaction: InventoryTransaction) -> Rotation:
        return rotator.rotations.begin_data(transaction, context.now, context.identity.name)

    return await _begun(context, begin, lambda: None)


async def _begun(
    context: Context,
    begin: Callable[[InventoryTransaction], Rotation],
    committed: Callable[[], None],
) -> Keys:
    def on_commit(_rotation: Rotation) -> None:
        committed()
        context.rotator.wake()

    await _refusing(context.change, begin, on_commit)
    if context.parts.live is None:
        await context.rotator.carry_out(context.parts.progress)
    return await show_keys(context, Empty())


async def _refusing(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function returns; its refusals as those of a request."""
    try:
        return await function(*arguments)
    except RotationRefused as error:
        raise conflict(str(error)) from None
    except VaultError as error:
        raise unprocessable(str(error)) from None
    except StoreError:
        raise
    except KMIPError as error:
        raise unprocessable(str(error)) from None


def _root_key_uri(text: str) -> RootKeyURI:
    try:
        return kinds.parse(text, Path("/"))
    except ValueError as error:
        raise unprocessable(f"the URI of the new root key {error}") from None


def _require_permitted(uri: RootKeyURI, config: Config) -> None:
    """Refused if somebody over the network would make the server load a program of their choice."""
    if uri.scheme != "pkcs11":
        return
    permitted = [each.resolve() for each in config.store.pkcs11_modules]
    try:
        if config.root_key.scheme == "pkcs11":
            permitted.append(modules.module_path(pkcs11_uri.parse(config.root_key.rest)).resolve())
        module = modules.module_path(pkcs11_uri.parse(uri.rest))
    except VaultError as error:
        raise unprocessable(str(error)) from None
    if module.resolve() not in permitted:
        raise unprocessable(
            f"a request over the network cannot make the server load {module}; add it to the setting"
            " store.pkcs11_modules and restart the server, or stop it and rotate the root key with"
            " --data-dir or --config"
        )


def _opened(uri: RootKeyURI, config: Config, *, may_ask: bool) -> Vault:
    counter = config.store.counter or counter_of(uri, config.store.directory)
    return kinds.open_vault(uri, counter, may_create=True, may_ask=may_ask)


def _keys(figures: KeyFigures, problem: str) -> Keys:
    rotation = figures.rotation
    identifiers = {each.number: each.entry.identifier for each in figures.root_keys}
    return Keys(
        tuple(
            RootKey(each.entry.identifier, each.entry.kind, each.entry.place, each.data_keys)
            for each in figures.root_keys
        ),
        figures.data_keys,
        figures.sealed,
        None
        if rotation is None
        else RotationProgress(
            rotation.kind,
            identifiers.get(rotation.target) if rotation.kind == "root" else None,
            rotation.total,
            figures.remaining,
            rotation.started,
            rotation.account,
            problem or None,
        ),
    )


ROUTES = (
    Route(
        method="GET",
        path="/keys",
        name="keys list",
        summary="List the root keys and count the data keys, with the rotation in progress.",
        who=Who.SERVER,
        request=Empty,
        answer=Keys,
        handler=show_keys,
    ),
    Route(
        method="POST",
        path="/keys/root/rotate",
        name="keys rotate-root",
        summary="Begin a rotation of the root key.",
        who=Who.SERVER,
        request=RotateRoot,
        answer=Keys,
        handler=rotate_root,
    ),
    Route(
        method="POST",
        path="/keys/data/rotate",
        name="keys rotate-data",
        summary="Begin a rotation of the data keys.",
        who=Who.SERVER,
        request=Empty,
        answer=Keys,
        handler=rotate_data,
    ),
)
