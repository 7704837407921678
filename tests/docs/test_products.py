"""The page for products says of each whether it was tried, and names files that a bundle has."""

import re
import shlex

import pytest
from click.testing import CliRunner
from documents import PROJECT
from kmipkit_certs.bundle import CONTENTS, JKS_CONTENTS

from kmipkit.cli import main

PAGE = PROJECT / "docs" / "products.md"
_, *SECTIONS = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
NAMED = {
    "vCenter", "MongoDB", "MySQL and Percona Server", "pg_tde", "NetApp ONTAP", "Synology DSM",
    "Veeam", "Ceph", "OpenBao", "Barbican",
}  # fmt: skip


def test_each_product_has_its_section() -> None:
    assert {section.partition("\n")[0] for section in SECTIONS} == NAMED


@pytest.mark.parametrize("section", SECTIONS, ids=lambda text: text.partition("\n")[0])
def test_a_section_begins_with_what_was_tried(section: str) -> None:
    _, _, text = section.partition("\n\n")
    assert re.match(r"Tried: .*untried|Untried\. ", text, re.IGNORECASE | re.DOTALL)


def test_its_commands_are_those_that_there_are() -> None:
    text = PAGE.read_text(encoding="utf-8")
    commands = re.findall(r"(?:^    |`)kmipkit ([^`\n]+)", text, re.MULTILINE)
    assert len(commands) > 5
    for command in commands:
        if " " in command:  # more than a name
            result = CliRunner().invoke(main, [*shlex.split(command), "--help"])
            assert result.exit_code == 0, f"{command}: {result.output}"


def test_the_page_names_each_file_of_a_bundle_and_no_other() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for name in (*CONTENTS, *JKS_CONTENTS):
        assert f"`{name.format(name='NAME')}`" in text
    endings = {name.rpartition(".")[2] for name in (*CONTENTS, *JKS_CONTENTS)}
    names = "vcenter|mongodb|mysql|pgtde|netapp|synology|ceph|openbao|barbican"
    used = set(re.findall(rf"\b(?:{names})\.(crt|key|p12|pem|jks)\b", text))
    assert used <= endings
    assert {"crt", "key", "pem"} <= used
