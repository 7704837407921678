"""Names: unique among the objects of an owner, and how templates of 1.x are found.

"Names SHALL be unique within a given key management domain" (KMIP 1.4 §3.2); the domain here is the
owner's objects that are not destroyed. An index answers, so that the check costs one look-up.
"""

from collections.abc import Iterable

from kmipkit.errors import OperationError
from kmipkit.model.attribute import Attribute, Attributes
from kmipkit.model.attributes import Name
from kmipkit.model.objects import Template
from kmipkit.spec.enums import ObjectType, ResultReason
from kmipkit.spec.tags import Tag
from kmipkit_server.engine.call import Call
from kmipkit_server.objects.managed import Managed


def require_unique_name(
    call: Call, attributes: Attributes, own: str = "", owner: str | None = None
) -> None:
    """Refuse names that another live object of the owner has (Non Unique Name Attribute).

    The owner is the caller if no other is given.
    """
    owner = call.identity.name if owner is None else owner
    if not call.settings.unique_names:
        return
    for name in attributes.all(Tag.NAME):
        if any(identifier != own for identifier in call.store.named(owner, name.name_value)):
            raise OperationError(
                ResultReason.NON_UNIQUE_NAME_ATTRIBUTE,
                f"another object has the name {name.name_value!r}",
            )


def template_attributes(call: Call, templates: Iterable[Name]) -> list[Attribute]:
    """The attributes of the named templates (KMIP 1.4 §2.1.8); Item Not Found if one is missing."""
    found: list[Attribute] = []
    for name in templates:
        managed = _template(call, name)
        template = managed.object
        assert isinstance(template, Template)
        found.extend(
            Attribute(attribute.key, attribute.value)
            for attribute in template.attributes
            if attribute.key != Tag.NAME
        )
    return found


def _template(call: Call, name: Name) -> Managed:
    for identifier in call.store.named(call.identity.name, name.name_value):
        record = call.store.get(identifier)
        if record is not None and record.object_type is ObjectType.TEMPLATE:
            return Managed(record, call.now)
    raise OperationError(
        ResultReason.ITEM_NOT_FOUND, f"no template has the name {name.name_value!r}"
    )
