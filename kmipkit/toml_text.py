"""TOML in files that people write: everything that is wrong with one is a TOMLDecodeError."""

import tomllib
from typing import Any


def parse(text: str) -> dict[str, Any]:
    """The document in a text. TOMLDecodeError for all faults.

    The parser of the standard library raises other errors for arrays in thousands of arrays, and for
    numbers of thousands of digits.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise
    except RecursionError:
        raise tomllib.TOMLDecodeError("arrays or tables are nested too deeply") from None
    except ValueError:
        raise tomllib.TOMLDecodeError("a number has too many digits") from None
