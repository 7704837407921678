"""docs/admin-openapi.json, the description of the API of administrators: ``gen_openapi.py [--check]``.

It is made from the table of routes, ``kmipkit_server/administration/table.py``.
"""

import json
import sys
from pathlib import Path

from kmipkit_server.administration.openapi import describe
from kmipkit_server.administration.table import ROUTES

FILE = Path(__file__).resolve().parents[1] / "docs" / "admin-openapi.json"


def main() -> int:
    """Write the file, or with ``--check`` say whether it is as it should be."""
    new = json.dumps(describe(ROUTES.rows), indent=2, ensure_ascii=False) + "\n"
    if "--check" not in sys.argv[1:]:
        FILE.write_text(new, encoding="utf-8")
        return 0
    is_current = FILE.exists() and FILE.read_text(encoding="utf-8") == new
    if not is_current:
        print(
            "docs/admin-openapi.json is not up to date; run: tools/gen_openapi.py", file=sys.stderr
        )
    return int(not is_current)


if __name__ == "__main__":
    sys.exit(main())
