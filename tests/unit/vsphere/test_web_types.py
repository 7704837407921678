"""The declared types, objects and methods of the Web Services API against pyVmomi's table.

pyVmomi's table is generated from VMware's own description of the API. What the laboratory declares must
be in it: the same names, base classes, fields in the same order, types, versions and optionality.
"""

import importlib
import pkgutil
from typing import Any

import kmipkit_vsphere.web_services.objects
import kmipkit_vsphere.web_services.vim25
import pytest
from kmipkit_vsphere.web_services.managed import MANAGED_TYPES, Method
from kmipkit_vsphere.web_services.versions import ANY_VERSION, PRIOR_VERSIONS, RELEASES, Version
from kmipkit_vsphere.web_services.vim25.declaration import (
    TYPES,
    AnyType,
    DataObject,
    Primitive,
    Ref,
    Shape,
    VimEnum,
    elements,
)
from kmipkit_vsphere.web_services.vim25.omitted import _BY_TYPE, omitted
from pyVmomi import VmomiSupport

NEWEST = max(release.api for release in RELEASES.values())
FAULT_VALUES = {"MethodFault", "LocalizedMethodFault"}
"""pyVmomi makes one class of both, and unpacks faults by itself."""

PRIMITIVES = {
    bool: "boolean",
    str: "string",
    VmomiSupport.PropertyPath: "string",
    VmomiSupport.ManagedMethod: "string",
    VmomiSupport.URI: "string",
    VmomiSupport.binary: "base64Binary",
    VmomiSupport.byte: "byte",
    VmomiSupport.short: "short",
    int: "int",
    VmomiSupport.long: "long",
    float: "float",
    VmomiSupport.double: "double",
    VmomiSupport.datetime: "dateTime",
    type: "string",
}


def load_all(package: Any) -> None:
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")


load_all(kmipkit_vsphere.web_services.vim25)
load_all(kmipkit_vsphere.web_services.objects)


def version(name: str) -> Version:
    """A version of pyVmomi; those before 6.7 are older than all that are told apart here."""
    text = VmomiSupport.versionIdMap[name]
    numbers = text.split(".")
    if not all(number.isdecimal() for number in numbers):
        return ANY_VERSION
    parsed = Version.parse(text)
    return ANY_VERSION if parsed < Version((6, 7)) else parsed


def since(declared: Version) -> Version:
    return ANY_VERSION if declared < Version((6, 7)) else declared


def known(namespace: str, name: str) -> Any:
    """pyVmomi's class."""
    return VmomiSupport.GetWsdlType(namespace, name)


def api_kind(kind: Any) -> str:
    """The name of a type as pyVmomi has it, on the wire."""
    if kind in PRIMITIVES:
        return PRIMITIVES[kind]
    if kind is object:
        return "anyType"
    if issubclass(kind, VmomiSupport.ManagedObject):
        return "ManagedObjectReference"
    name = str(VmomiSupport.GetWsdlName(kind))
    return "LocalizedMethodFault" if name == "MethodFault" else name


def check_shape(shape: Shape, kind: Any, flags: int, introduced: Version, place: str) -> None:
    """A declared field, parameter or result against pyVmomi's."""
    is_array = issubclass(kind, list)
    assert shape.is_array is is_array, place
    assert shape.kind_name == api_kind(kind.Item if is_array else kind), place
    if not is_array:
        assert shape.is_optional is bool(flags & VmomiSupport.F_OPTIONAL), place
    assert since(shape.since) == introduced, place


DATA_OBJECTS = [kind for kind in TYPES.values() if kind.__name__ not in FAULT_VALUES]


@pytest.mark.parametrize("kind", DATA_OBJECTS, ids=lambda kind: kind.__name__)
def test_a_data_object_is_that_of_the_api(kind: type[DataObject]) -> None:
    api = known(kind.namespace, kind.__name__)
    base = kind.__mro__[1].__name__
    api_base = VmomiSupport.GetWsdlName(api.__bases__[0])
    assert base == {"DynamicData": "DataObject"}.get(api_base, api_base)
    assert since(kind.since) == version(api._version)
    own = {field.name for field in elements(kind)} - {
        field.name for parent in kind.__mro__[1:-2] for field in elements(parent)
    }
    fields = [
        info
        for info in api._propList
        if info.name in own
        or (version(info.version) <= NEWEST and info.name not in omitted_of(kind))
    ]
    declared = [field for field in elements(kind) if field.name in own]
    assert [field.name for field in declared] == [info.name for info in fields]
    for field, info in zip(declared, fields, strict=True):
        place = f"{kind.__name__}.{field.name}"
        introduced = version(info.version)
        own_version = (
            introduced if introduced != version(api._version) else since(field.shape.since)
        )
        check_shape(field.shape, info.type, info.flags, own_version, place)


def omitted_of(kind: type) -> frozenset[str]:
    return omitted(kind.__name__)


@pytest.mark.parametrize("kind", VimEnum.__subclasses__(), ids=lambda kind: kind.__name__)
def test_an_enumeration_is_that_of_the_api(kind: type[VimEnum]) -> None:
    assert {str(value) for value in kind} == set(known("urn:vim25", kind.__name__).values)


MANAGED = [kind for kind in MANAGED_TYPES.values() if kind.namespace == "urn:vim25"]


@pytest.mark.parametrize("kind", MANAGED, ids=lambda kind: kind.__name__)
def test_a_managed_object_is_that_of_the_api(kind: Any) -> None:
    api = known(kind.namespace, kind.__name__)
    mixins = {base for base in kind.__mro__ if vars(base).get("is_mixin")}
    [base, *_] = [base for base in kind.__mro__[1:] if base not in mixins]
    assert VmomiSupport.GetWsdlName(api.__bases__[0]) == base.__name__
    properties = {info.name: info for info in api._GetPropertyList()}
    for name, declared in kind.PROPERTIES.items():
        info = properties[name]
        place = f"{kind.__name__}.{name}"
        assert since(declared.since) == version(info.version), place
        always_set = 0 if not declared.shape.is_optional else info.flags
        check_shape(declared.shape, info.type, always_set, ANY_VERSION, place)
    unset = {name for base in kind.__mro__ for name in omitted(base.__name__)}
    current = {name for name, info in properties.items() if version(info.version) <= NEWEST}
    assert set(kind.PROPERTIES) | unset >= current
    assert not set(kind.PROPERTIES) & unset


METHODS = [
    pytest.param(kind, row, id=f"{kind.__name__}.{row.name}")
    for kind in MANAGED
    for row in kind.METHODS.values()
    if row.name != "Fetch"
]


@pytest.mark.parametrize(("kind", "row"), METHODS)
def test_a_method_is_that_of_the_api(kind: Any, row: Method) -> None:
    infos = {info.wsdlName: info for info in known(kind.namespace, kind.__name__)._GetMethodList()}
    info = infos[row.name]
    assert since(row.since) == version(info.version)
    assert [field.name for field in row.parameters] == [param.name for param in info.params]
    for field, param in zip(row.parameters, info.params, strict=True):
        introduced = version(param.version)
        expected = introduced if introduced != version(info.version) else ANY_VERSION
        place = f"{kind.__name__}.{row.name}.{field.name}"
        check_shape(field.shape, param.type, param.flags, expected, place)
    if info.result is type(None):
        assert row.result is None
    else:
        assert row.result is not None
        check_shape(row.result, info.result, info.resultFlags, ANY_VERSION, row.name)


def test_what_is_omitted_exists_in_the_api() -> None:
    for name, fields in _BY_TYPE.items():
        if not name:
            continue
        api = known("urn:pbm" if name.startswith("Pbm") else "urn:vim25", name)
        infos = api._propList if hasattr(api, "_propList") else api._propInfo.values()
        assert fields <= {info.name for info in infos}, name


def test_all_versions_are_known_to_pyvmomi() -> None:
    identifiers = set(VmomiSupport.versionIdMap.values())
    for declared in (*PRIOR_VERSIONS, *(release.api for release in RELEASES.values())):
        assert str(declared) in identifiers


def test_kinds_are_written_as_the_api_names_them() -> None:
    assert Shape(Primitive("string")).kind_name == "string"
    assert Shape(Ref).kind_name == "ManagedObjectReference"
    assert Shape(AnyType).kind_name == "anyType"
