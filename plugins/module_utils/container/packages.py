# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compare the packages of systems before and after a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..errors import FleetError
from .ends import Host
from .observed import Observed
from .outcome import Outcome


def closure_differences(
    host: Host, outcomes: Iterable[Outcome], before: Mapping[str, Observed]
) -> dict[str, tuple[str, ...]]:
    """Return the package changes of each container whose system changes. Equal pairs are compared once."""
    pairs: dict[str, tuple[str, str]] = {}
    for outcome in outcomes:
        old, new = system_before(before[outcome.name]), outcome.plan.system
        if new is not None and old not in (None, new.path) and outcome.changed and outcome.error is None:
            pairs[outcome.name] = (str(old), new.path)
    try:
        compared = host.nix.closure_differences(set(pairs.values()))
    except FleetError as error:
        # Completed steps are returned in any case.
        unknown = (f"(the systems cannot be compared: {error.problem.splitlines()[-1]})",)
        return dict.fromkeys(pairs, unknown)
    return {
        name: compared.get(pair, (f"(the versions are known when {pair[1]} is built)",)) for name, pair in pairs.items()
    }


def system_before(observed: Observed) -> str | None:
    """Return the system that a container runs, or boots next."""
    runs = observed.instance.running_system if observed.instance is not None else None
    return runs if runs is not None else observed.generations.system
