"""The declared types of the Web Services API against the type table of govmomi, the library of govc.

It relaxes some required fields for its simulator, so only names and their order are compared.
"""

import re
import subprocess
from pathlib import Path

import kmipkit_vsphere.web_services.objects  # noqa: F401 -- declares all types
import pytest
from kmipkit_vsphere.web_services.vim25.declaration import TYPES, VIM25, DataObject, elements

pytestmark = pytest.mark.standard

_STRUCT = re.compile(r"^type (\w+) struct \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
_FIELD = re.compile(r'^\t\w+\s+\S+\s+`xml:"(\w+)[^"]*"', re.MULTILINE)


@pytest.fixture(scope="session")
def structs(govc: Path) -> dict[str, list[str]]:
    """The fields of govmomi's types, without those of the types that they extend."""
    folder = govc.parent
    command = ["go", "list", "-m", "-f", "{{.Dir}}", "github.com/vmware/govmomi"]
    where = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout
    text = (Path(where.strip()) / "vim25/types/types.go").read_text()
    return {name: _FIELD.findall(body) for name, body in _STRUCT.findall(text)}


def own_fields(kind: type[DataObject]) -> list[str]:
    inherited = {field.name for base in kind.__mro__[1:-2] for field in elements(base)}
    return [field.name for field in elements(kind) if field.name not in inherited]


def test_fields_are_those_of_govmomi_in_its_order(structs: dict[str, list[str]]) -> None:
    for (namespace, name), kind in TYPES.items():
        if namespace != VIM25 or name not in structs:
            continue
        declared = own_fields(kind)
        assert [field for field in structs[name] if field in declared] == declared, name


def test_almost_all_types_were_compared(structs: dict[str, list[str]]) -> None:
    missing = {name for namespace, name in TYPES if namespace == VIM25} - structs.keys()
    assert missing <= {"TypeDescription", "ElementDescription", "Description", "MethodFault"}
