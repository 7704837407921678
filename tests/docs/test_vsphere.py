"""docs/vsphere.md: each requirement has its tests, and each story prints what is shown there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from kmipkit_vsphere.cli import STORY_NAMES
from kmipkit_vsphere.demo.swtpm import missing
from kmipkit_vsphere.vcenter.alarm_definitions import DEFINITIONS
from servers import ANSWER_TIMEOUT

PROJECT = Path(__file__).resolve().parents[2]
DOCUMENT = PROJECT / "docs" / "vsphere.md"
REQUIREMENTS = range(1, 48)

# What differs from run to run: keys and what they encrypt, processes and ports, times.
VARYING = (
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "ID"),
    (r"process \d+, 127\.0\.0\.1:\d+", "process N, ADDRESS"),
    (r"kill -9 \d+", "kill -9 N"),
    (r"zdump\.\d{8}T\d+", "zdump.TIME"),
    (r"\b[A-Za-z0-9+/]{40}…", "WRAPPED…"),
    (r"\d{4}-\d\d-\d\dT[\d:.+]+", "TIME"),
    (r"^(   0000[0-9a-f]{4}  ).*$", r"\1BYTES"),
    (r"served in [\d.]+ s; median [\d.]+ s, 99th percentile [\d.]+ s", "served in SECONDS"),
    (r"\d+ files", "N files"),
    (r"^(   openssl: ).*$", r"\1DETAILS"),
)


def same(text: str) -> str:
    """A story without what varies."""
    for pattern, instead in VARYING:
        text = re.sub(pattern, instead, text, flags=re.MULTILINE)
    # The machine's key and the host's are made at the same time: either may be first.
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def shown(story: str) -> str:
    """The output of a story in the document."""
    pattern = rf"^### kmipkit demo {story}\n.*?^```text\n(.*?)^```$"
    block = re.search(pattern, DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    assert block, f"docs/vsphere.md does not show kmipkit demo {story}"
    return same(block[1])


LONG = (
    "trusted",
    "vsan",
    "key-loss",
    "rebuild-vcenter",
    "replace-key-server",
    "replace-provider",
    "upgrade-host",
    "key-persistence",
    "policies",
    "snapshots",
    "alarms",
)
"""Stories whose steps have short tests of their own; for a TPM, that is test_swtpm."""
NEED_A_TPM = ("trusted", "upgrade-host", "key-persistence")
STORIES = [
    pytest.param(story, marks=pytest.mark.long) if story in LONG else story for story in STORY_NAMES
]


@pytest.mark.parametrize("story", STORIES)
def test_a_story_prints_what_the_document_shows(story: str) -> None:
    if story in NEED_A_TPM and missing():
        pytest.skip(f"not installed: {', '.join(missing())}")
    command = [sys.executable, "-m", "kmipkit", "demo", story]
    process = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_TIMEOUT)
    assert process.returncode == 0, process.stdout + process.stderr
    assert same(process.stdout) == shown(story)


def by_requirement() -> dict[int, set[str]]:
    tests: dict[int, set[str]] = {number: set() for number in REQUIREMENTS}
    for path in (PROJECT / "tests").rglob("test_*.py"):
        for name in re.findall(r"def (test_r\d\d\w*)\(", path.read_text()):
            for number in re.findall(r"(?:^test)?_r(\d\d)(?=_)", name):
                tests[int(number)].add(name)
    return tests


@pytest.mark.parametrize("number", REQUIREMENTS)
def test_every_requirement_is_in_the_table_with_tests_that_there_are(number: int) -> None:
    existing = by_requirement()[number]
    assert existing, f"no test shows R{number}"
    row = re.search(rf"^\| R{number} \|(.*)\|(.*)\|$", DOCUMENT.read_text(), re.MULTILINE)
    assert row, f"R{number} is not in the table"
    named = set(re.findall(r"`(test_\w+)`", row[1]))
    assert named
    assert named <= existing, f"not there: {named - existing}"
    assert len(row[2].strip()) > 10, "what was seen"


ENTITY_TYPES = {
    "keyServer": "key server",
    "provider": "key provider",
    "key": "key",
    "host": "host",
    "machine": "virtual machine",
    "trustAuthority": "trust authority",
    "cluster": "cluster",
}


def test_the_table_of_alarms_is_that_of_the_definitions() -> None:
    section = DOCUMENT.read_text().partition("\n## Alarms\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \|(.*)\|$", section, re.MULTILINE)
    assert [name for name, _ in rows] == list(DEFINITIONS)
    for name, row in rows:
        definition = DEFINITIONS[name]
        entities, _reason, colors, _end = (cell.strip() for cell in row.split(" | "))
        shown = {re.sub(r" \(.*\)", "", entity) for entity in entities.split(", ")}
        assert shown == {ENTITY_TYPES[kind] for kind in definition.entity_type.split(" or ")}, name
        if colors == "its color":
            assert len(definition.colours) > 1, name
        else:
            assert tuple(colors.split("; ")) == definition.colours, name
