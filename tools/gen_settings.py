"""The tables of settings in docs/configuration.md, from their declarations: ``gen_settings.py [--check]``.

A description is the text under a setting in ``kmipkit_server/config/sections.py``.
"""

import ast
import sys
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

from kmipkit_server.config import Config, sections
from kmipkit_server.config.show import value_text
from kmipkit_server.config.sources import OPTIONS, variable
from kmipkit_server.config.values import description_of
from kmipkit_server.service.reload import is_reloadable

PROJECT = Path(__file__).resolve().parents[1]
PAGE = PROJECT / "docs" / "configuration.md"
BEGIN = "<!-- The tables below are made by tools/gen_settings.py. -->\n"
END = "<!-- The tables above are made by tools/gen_settings.py. -->\n"


def page(text: str) -> str:
    """The page with its tables as they should be."""
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n{''.join(tables())}{END}{tail}"


def tables() -> Iterator[str]:
    """A heading and a table for each section."""
    texts = descriptions()
    for section, table in get_type_hints(Config).items():
        about, keys = texts[table.__name__]
        yield f"### [{section}]\n\n{about}\n\n"
        yield "| key | type | default | variable, option | reload | meaning |\n"
        yield "| --- | --- | --- | --- | --- | --- |\n"
        types = get_type_hints(table)
        defaults = table()
        for each in fields(table):
            name = each.name
            option = OPTIONS.get(f"{section}.{name}")
            sources = [f"`{variable(section, name)}`", *([f"`{option}`"] if option else [])]
            cells = (
                f"`{name}`",
                description_of(types[name]),
                default(getattr(defaults, name)),
                ", ".join(sources),
                "yes" if is_reloadable(section, name) else "no",
                keys[name],
            )
            yield f"| {' | '.join(cells)} |\n"
        yield "\n"


def default(value: Any) -> str:
    """A default value as TOML has it; empty if there is none."""
    if value is None or value == () or value == {}:
        return ""
    return f"`{value_text(str(value) if isinstance(value, Path) else value)}`"


def descriptions() -> Mapping[str, tuple[str, Mapping[str, str]]]:
    """The docstring of each class in the declarations, and the texts under its fields."""
    path = sections.__file__
    tree = ast.parse(Path(path).read_text(encoding="utf-8"))
    found = {}
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            keys = {}
            for field, text in zip(node.body, node.body[1:], strict=False):
                if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr):
                    assert isinstance(field.target, ast.Name)
                    assert isinstance(text.value, ast.Constant)
                    keys[field.target.id] = _line(str(text.value.value))
            found[node.name] = _line(ast.get_docstring(node) or ""), keys
    return found


def _line(text: str) -> str:
    return " ".join(text.replace("``", "`").split())


def main() -> int:
    """Write the page, or with ``--check`` say whether it is as it should be."""
    old = PAGE.read_text(encoding="utf-8")
    new = page(old)
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(new, encoding="utf-8")
        return 0
    if old != new:
        print(
            "docs/configuration.md is not up to date; run: tools/gen_settings.py", file=sys.stderr
        )
    return int(old != new)


if __name__ == "__main__":
    sys.exit(main())
