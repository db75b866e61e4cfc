# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""JMESPath expressions over results."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..errors import FleetError

try:
    import jmespath
    import jmespath.exceptions
    import jmespath.functions
except ImportError as error:
    JMESPATH_IMPORT_ERROR: ImportError | None = error
else:
    JMESPATH_IMPORT_ERROR = None

_ADVICE = "See https://jmespath.org."
_LONGEST = 10_000


def compiled(expression: str) -> Callable[[Any], Any]:
    """Return a function that searches data. Raises FleetError when the expression is not valid."""
    if len(expression) > _LONGEST:
        raise FleetError(f"query: {len(expression)} characters are too many for one expression.", _ADVICE)
    try:
        query = jmespath.compile(expression)
        called = set(_functions(query.parsed))
    except jmespath.exceptions.JMESPathError as error:
        raise FleetError(
            f"query: {expression!r} is not a JMESPath expression: {_first_line(error)}.", _ADVICE
        ) from error
    except RecursionError as error:
        raise FleetError("query: it is too deep for one expression.", _ADVICE) from error
    unknown = sorted(called - set(jmespath.functions.Functions.FUNCTION_TABLE))
    if unknown:
        raise FleetError(f"query: {expression!r}: JMESPath has no function {', '.join(unknown)}.", _ADVICE)

    def search(data: Any) -> Any:
        try:
            return query.search(data)
        except jmespath.exceptions.JMESPathError as error:
            problem = f"query: {expression!r} does not fit what was found: {_misfit(error)}."
            raise FleetError(problem, _ADVICE) from error
        except RecursionError as error:
            raise FleetError("query: it is too deep for one expression.", _ADVICE) from error

    return search


def _first_line(error: Exception) -> str:
    """Return the error without the expression that it repeats."""
    return str(error).splitlines()[0].removeprefix("Invalid jmespath expression: ").rstrip(":").rstrip(".")


def _misfit(error: Exception) -> str:
    """Return the error without the data that it repeats, which may be large."""
    if isinstance(error, jmespath.exceptions.JMESPathTypeError):
        return f"{error.function_name}() takes {' or '.join(error.expected_types)}, not {error.actual_type}"
    return _first_line(error)


def _functions(node: Mapping[str, Any]) -> Iterator[str]:
    """Yield the functions that an expression calls, even those that the data would skip."""
    if node["type"] == "function_expression":
        yield node["value"]
    for child in node["children"]:
        if isinstance(child, Mapping):
            yield from _functions(child)
