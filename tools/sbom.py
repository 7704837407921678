"""Writes the software bill of materials as CycloneDX: ``sbom.py OUTPUT``, as ``make sbom`` runs it.

It lists kmipkit and what it needs to run, with the hashes of ``requirements/runtime.txt``. The same
commit gives the same file.
"""

import configparser
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
LOCK = PROJECT / "requirements" / "runtime.txt"
REFERENCE = "kmipkit"


def kmipkit() -> dict[str, Any]:
    """kmipkit itself, as the root component."""
    setup = configparser.ConfigParser()
    setup.read(PROJECT / "setup.cfg", encoding="utf-8")
    metadata = setup["metadata"]
    source = (PROJECT / "kmipkit" / "__init__.py").read_text(encoding="utf-8")
    [version] = re.findall(r'^__version__ = "(.+)"$', source, re.MULTILINE)
    return {
        "bom-ref": REFERENCE,
        "type": "application",
        "name": metadata["name"],
        "version": version,
        "description": metadata["description"],
        "licenses": [{"license": {"id": metadata["license"]}}],
        "purl": f"pkg:pypi/{metadata['name']}@{version}",
    }


def with_root(document: dict[str, Any]) -> dict[str, Any]:
    """The document with kmipkit as its subject, which needs all components."""
    document["metadata"]["component"] = kmipkit()
    for component in document["components"]:
        del component["description"]  # the line of the lock file
    references = [component["bom-ref"] for component in document["components"]]
    document["dependencies"].append({"ref": REFERENCE, "dependsOn": sorted(references)})
    return document


def main(output: Path) -> None:
    command = [
        sys.executable, "-m", "cyclonedx_py", "requirements", "--output-reproducible",
        "--output-format=JSON", "--output-file=-", str(LOCK),
    ]  # fmt: skip
    result = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    document = with_root(json.loads(result.stdout))
    output.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
