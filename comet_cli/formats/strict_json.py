"""JSON without the extensions that Python reads."""

from __future__ import annotations

import json
from typing import Any

from comet_cli.errors import FileFormatError


def parse_json(data: bytes, where: str) -> Any:
    """Parse JSON strictly: UTF-8, no NaN, no key given twice, no absurd nesting.

    Raises:
        FileFormatError: naming ``where``.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise ValueError("a key is given twice")
        return found

    def refuse(constant: str) -> Any:
        raise ValueError(f"{constant} is not a number")

    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=unique, parse_constant=refuse)
    except UnicodeDecodeError:
        raise FileFormatError(f"{where} is not UTF-8") from None
    except RecursionError:
        raise FileFormatError(f"{where} is nested too deeply") from None
    except ValueError as error:
        raise FileFormatError(f"{where} is not valid JSON: {error}") from None
