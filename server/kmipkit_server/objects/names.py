"""Names: unique among the objects of an owner, and the way to find the templates of 1.x.

"Names SHALL be unique within a given key management domain" (KMIP 1.4 §3.2); here, the domain is the
owner's objects that are not destroyed. The check is one look-up in an index.
"""

from collections.abc import Collection, Iterable

from kmipkit.errors import OperationError
from kmipkit.model.attribute import Attribute, Attributes
from kmipkit.model.attributes import Name
from kmipkit.model.objects import Template
from kmipkit.spec.enums import ObjectType, ResultReason
from kmipkit.spec.tags import Tag
from kmipkit_server.engine import permission
from kmipkit_server.engine.call import Call
from kmipkit_server.objects.managed import Managed

_NAME = Tag.NAME


def require_unique_name(
    call: Call,
    attributes: Attributes,
    own: str = "",
    owner: str | None = None,
    shared: Collection[str] = (),
) -> None:
    """Refuse names that another object of the owner has (Non Unique Name Attribute).

    ``own`` is the identifier of the object itself, if it exists. The owner is the client if no
    other is given. ``shared`` names may be those of other objects.
    """
    owner = call.identity.name if owner is None else owner
    for name in attributes.all(_NAME):
        if name.name_value not in shared:
            require_free_name(call, name.name_value, owner, own)


def require_free_name(call: Call, name: str, owner: str, own: str = "") -> None:
    """Refuse a name that an object of the owner has, but for the one with the identifier ``own``."""
    found = call.store.find_by_name(owner, name) if call.settings.unique_names else ()
    if found and any(identifier != own for identifier in found):
        raise OperationError(
            ResultReason.NON_UNIQUE_NAME_ATTRIBUTE, f"another object already has the Name {name!r}"
        )


def require_distinct_names(attributes: Attributes) -> None:
    """Refuse an object with the same Name twice (Non Unique Name Attribute)."""
    if Tag.NAME not in attributes:
        return
    values = [name.name_value for name in attributes.all(Tag.NAME)]
    if len(set(values)) != len(values):
        raise OperationError(
            ResultReason.NON_UNIQUE_NAME_ATTRIBUTE, "an object cannot have the same Name twice"
        )


def template_attributes(call: Call, templates: Iterable[Name]) -> list[Attribute]:
    """The attributes of the named templates (KMIP 1.4 §2.1.8); Item Not Found if one is missing."""
    attributes: list[Attribute] = []
    for name in templates:
        managed = _template(call, name)
        template = managed.object
        assert isinstance(template, Template)
        attributes.extend(
            Attribute(attribute.key, attribute.value)
            for attribute in template.attributes
            if attribute.key != Tag.NAME
        )
    return attributes


def _template(call: Call, name: Name) -> Managed:
    for identifier in call.store.find_by_name(call.identity.name, name.name_value):
        record = call.store.get(identifier)
        if record is not None and record.object_type is ObjectType.TEMPLATE:
            permission.require(call, record)
            return Managed(record, call.now)
    raise OperationError(
        ResultReason.ITEM_NOT_FOUND, f"no Template has the Name {name.name_value!r}"
    )
