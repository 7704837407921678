"""Managed objects: small classes whose methods and properties are rows of the API.

.. code-block:: python

    class SessionManager(ManagedObject, moid="SessionManager", content="session_manager"):
        @prop
        def currentSession(self, call: Call) -> UserSession | None: ...

        @method("Logout")
        async def logout(self, call: Call) -> None: ...

A row is read from its signature: parameters in the order of the schema, each with the annotation of a
field (:mod:`~kmipkit_vsphere.web_services.vim25.declaration`), and the result. So the type checker
holds the handler to its row.
"""

import inspect
import typing
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType, NoneType
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

from kmipkit_vsphere.model.records import ROOT
from kmipkit_vsphere.vcenter.privileges import Privilege
from kmipkit_vsphere.web_services.property_path import value_at
from kmipkit_vsphere.web_services.versions import ANY_VERSION, Version
from kmipkit_vsphere.web_services.vim25.declaration import (
    VIM25,
    Element,
    Ref,
    Shape,
    camel_case,
    element_of,
    shape_of,
)

if TYPE_CHECKING:
    from kmipkit_vsphere.web_services.call import Call

F = TypeVar("F", bound=Callable[..., Any])
_ROW: Final = "__row__"


@dataclass(frozen=True)
class Method:
    """A method of a managed object: one row of the table of methods.

    ``privilege`` is needed on the object itself; None where the call of vCenter behind it has its own
    row, or where every session may call. ``is_public`` is for calls without a session, and ``waits``
    for those that end when the client goes away.
    """

    name: str
    function: Callable[..., Awaitable[Any]]
    since: Version
    privilege: Privilege | None
    is_public: bool
    waits: bool

    @cached_property
    def _hints(self) -> dict[str, Any]:
        hints = typing.get_type_hints(self.function, _names(self.function), include_extras=True)
        return {name: hint for name, hint in hints.items() if name.lstrip("_") != "call"}

    @cached_property
    def parameters(self) -> tuple[Element, ...]:
        """What it takes, in the order of the schema."""
        hints = self._hints.items()
        return tuple(element_of(name, hint) for name, hint in hints if name != "return")

    @cached_property
    def result(self) -> Shape | None:
        """What it answers; None for nothing."""
        annotation = self._hints["return"]
        return None if annotation is NoneType else shape_of(annotation)


@dataclass(frozen=True)
class Property:
    """A property of a managed object."""

    name: str
    function: Callable[..., Any]
    since: Version
    is_public: bool

    @cached_property
    def shape(self) -> Shape:
        """Its declared type."""
        hints = typing.get_type_hints(self.function, _names(self.function), include_extras=True)
        return shape_of(hints["return"])

    async def value(self, instance: "ManagedObject", call: "Call") -> Any:
        """The present value; None if it is not set."""
        value = self.function(instance, call)
        return await value if inspect.isawaitable(value) else value


def _names(function: Callable[..., Any]) -> dict[str, Any]:
    """The names that annotations of a handler use; ``Call`` is imported for the type checker only."""
    return {**function.__globals__, "Call": object}


def method(
    name: str,
    *,
    since: str | None = None,
    privilege: Privilege | None = None,
    public: bool = False,
    waits: bool = False,
) -> Callable[[F], F]:
    """Decorator for the handler of a method; ``name`` is that of the element in the request."""

    def declare(function: F) -> F:
        version = Version.parse(since) if since else ANY_VERSION
        row = Method(name, function, version, privilege, public, waits)
        setattr(function, _ROW, row)
        return function

    return declare


def prop(
    name: str | None = None, *, since: str | None = None, public: bool = False
) -> Callable[[F], F]:
    """Decorator for a property: a function, async or not, of the call; None where it is not set."""

    def declare(function: F) -> F:
        version = Version.parse(since) if since else ANY_VERSION
        named = name or camel_case(function.__name__)
        setattr(function, _ROW, Property(named, function, version, public))
        return function

    return declare


MANAGED_TYPES: Final[dict[tuple[str, str], type["ManagedObject"]]] = {}
"""Namespace and name to class, of all managed objects that are declared."""


class ManagedObject:
    """An object that has methods and properties; the class has the name of its type.

    A ``mixin`` has methods of a type that is declared elsewhere.
    """

    METHODS: ClassVar[Mapping[str, Method]] = MappingProxyType({})
    PROPERTIES: ClassVar[Mapping[str, Property]] = MappingProxyType({})
    since: ClassVar[Version] = ANY_VERSION
    namespace: ClassVar[str] = VIM25
    is_mixin: ClassVar[bool] = False
    moid: ClassVar[str | None] = None
    """The id of the only object of this type, if there is only one."""
    content_field: ClassVar[str | None] = None
    """The field of ``ServiceContent`` that refers to it."""

    def __init_subclass__(
        cls,
        moid: str | None = None,
        content: str | None = None,
        since: str | None = None,
        namespace: str | None = None,
        *,
        mixin: bool = False,
    ) -> None:
        rows = [
            getattr(value, _ROW, None)
            for kind in reversed(cls.__mro__)
            for value in vars(kind).values()
        ]
        cls.METHODS = MappingProxyType({row.name: row for row in rows if isinstance(row, Method)})
        cls.PROPERTIES = MappingProxyType(
            {row.name: row for row in rows if isinstance(row, Property)}
        )
        cls.moid, cls.content_field = moid, content
        if since is not None:
            cls.since = Version.parse(since)
        if namespace is not None:
            cls.namespace = namespace
        cls.is_mixin = mixin
        if not mixin:
            MANAGED_TYPES[cls.namespace, cls.__name__] = cls

    def __init__(self, ref: Ref) -> None:
        self.ref = ref

    @classmethod
    def type_names(cls) -> tuple[str, ...]:
        """The names of this type and of those that it extends."""
        return tuple(kind.__name__ for kind in cls.__mro__ if kind is not object)

    @property
    def entity(self) -> str:
        """The entity of the inventory on which privileges are checked."""
        return ROOT

    def check_visible(self, call: "Call") -> None:
        """NoPermission if the caller may not see this object."""

    @method("Fetch", public=True)
    async def fetch(self, call: "Call", prop: str) -> Any | None:
        """The value of a property; pyVmomi reads every attribute so."""
        return await value_at(call, self, prop)


class ExtensibleManagedObject(ManagedObject):
    """An object that can have fields of users; the laboratory's have none."""
