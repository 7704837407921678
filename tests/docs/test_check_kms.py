"""docs/check-kms.md: what is shown there is printed, and the table has every step."""

import re
from pathlib import Path

from click.testing import CliRunner
from documents import PROJECT, blocks
from foreign_key_server import ForeignServer
from key_server_mutants import MUTANTS
from kmipkit_vsphere.check_kms.steps import STEPS, Step
from kmipkit_vsphere.cli import vcenter
from kmipkit_vsphere.cli_check import check_kms
from kmipkit_vsphere.providers.kmip_session import KeyServerRefused
from kmipkit_vsphere.vcenter.events import PREFIX
from served_key_server import PKI, kmip, listening, over_tls
from servers import RunningServer

PAGE = "docs/check-kms.md"
FAULTS = ("lacks Activate", "wrong reason for an unknown key")

# What differs from run to run.
VARYING = (
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "ID"),
    (r"acme-[0-9a-f]{12}", "ID"),
    (r"\d+\.\d{3} s", "TIME"),
    (r"\d{4}-\d\d-\d\d", "DATE"),
    (r"127\.0\.0\.1:\d+", "ADDRESS"),
    (r"\s+", " "),
)


def same(text: str) -> str:
    """A text without what varies; lines may be wrapped at other words."""
    for pattern, instead in VARYING:
        text = re.sub(pattern, instead, text)
    return text.strip()


def first_run(server: RunningServer) -> str:
    """The output of the first example."""
    files = server.credentials("vcenter")
    options = [part for name, path in files.items() for part in (f"--{name}", str(path))]
    result = CliRunner().invoke(vcenter, ["check-kms", f"127.0.0.1:{server.port}", *options])
    assert result.exit_code == 0, result.output
    return result.output


def failing_run(folder: Path) -> str:
    """The output for the server with faults."""
    pki = PKI(folder / "pki")
    server = ForeignServer()
    for name in FAULTS:
        MUTANTS[name].mutate(server)
    with listening(over_tls(pki.context, kmip(server))) as address:
        options = [*pki.options(), "--steps", "power-cut,unknown-key"]
        result = CliRunner().invoke(vcenter, ["check-kms", address, *options])
    assert result.exit_code == 1, result.output
    return result.output


def row(step: Step) -> str:
    """A step in the table."""
    symptom = step.symptom
    event = symptom.event_type(KeyServerRefused("refused", None)).removeprefix(PREFIX)
    shown = f"{symptom.colour.value}, `{event}`" if event else symptom.colour.value
    optional = " (warning)" if step.optional else ""
    return f"| `{step.name}` | {step.moment} | {step.source} | {shown}{optional} |"


def test_the_first_example_prints_what_the_page_shows(server: RunningServer) -> None:
    assert same(first_run(server)) == same(blocks(PAGE, "text")[0])


def test_the_server_with_faults_prints_what_the_page_shows(tmp_path: Path) -> None:
    assert same(failing_run(tmp_path)) == same(blocks(PAGE, "text")[1])


def test_the_table_has_every_step() -> None:
    page = (PROJECT / PAGE).read_text(encoding="utf-8")
    table = page.split("## The steps")[1].split("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    assert rows == [row(step) for step in STEPS]


def test_the_page_names_every_option() -> None:
    page = (PROJECT / PAGE).read_text(encoding="utf-8").replace("--data-dir", "")
    named = set(re.findall(r"--[a-z][a-z-]*", page)) - {"--detach"}
    options = {option for entry in check_kms.params for option in entry.opts if "--" in option}
    assert named == options
