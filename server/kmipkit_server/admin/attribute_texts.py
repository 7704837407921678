"""Values of attributes for people, from the JSON of the API."""

from datetime import datetime
from typing import Any, get_args

from kmipkit.model.attributes import ATTRIBUTE_TYPES
from kmipkit.spec.attributes import BY_NAME
from kmipkit.spec.enums import NameType
from kmipkit.spec.tags import Tag
from kmipkit.spec.titles import title
from kmipkit_server.admin.tables import moment

_ORDINARY_NAME = NameType.UNINTERPRETED_TEXT_STRING.name


def attribute_text(attribute: str, value: Any) -> str:
    """One value of an attribute: a Name as the text that it is, and times in UTC."""
    if isinstance(value, dict):
        return _structure(value)
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{moment(value)} UTC" if _is_date(attribute) else str(value)


def _structure(value: dict[str, Any]) -> str:
    if set(value) == {"name_value", "name_type"}:
        kind = "" if value["name_type"] == _ORDINARY_NAME else f" ({value['name_type']})"
        return f"{value['name_value']}{kind}"
    return "; ".join(f"{_label(field)} {_part(part)}" for field, part in value.items())


def _part(value: Any) -> str:
    if isinstance(value, dict):
        return f"({_structure(value)})"
    return " ".join(map(_part, value)) if isinstance(value, list) else str(value)


def _label(field: str) -> str:
    tag = Tag.__members__.get(field.upper())
    return field.replace("_", " ") if tag is None else title(tag)


def _is_date(attribute: str) -> bool:
    row = BY_NAME.get(attribute)
    python_type = None if row is None else ATTRIBUTE_TYPES.get(row.tag)
    return datetime in (get_args(python_type) or (python_type,))
