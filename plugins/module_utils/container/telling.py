# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tell the listeners of a run its plans, and what became of its containers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..errors import FleetError
from ..progress.events import Ended, Events, Planned, PlannedSteps, SecretsMet
from .observed import Observed
from .outcome import Outcome
from .results import secrets_met, steps_result, told_steps
from .steps import Plan


def tell_plans(events: Events, plans: Sequence[Plan], before: Mapping[str, Observed], working: Sequence[str]) -> None:
    """Tell what is to be done, and which containers failed before that. ``working`` are those with anything to do."""
    planned = [Outcome(plan=one, steps=one.steps, observed=before[one.container.name]) for one in plans]
    events.tell(SecretsMet(values=frozenset(secrets_met(planned))))
    events.tell(Planned(names=tuple(working)))
    for one in planned:
        if one.steps:
            events.tell(PlannedSteps(name=one.name, steps=tuple(steps_result(told_steps(one)))))
        elif one.plan.error is not None and one.name not in working:
            tell_end(events, one.name, one.plan.error)


def tell_end(events: Events, name: str, error: FleetError | None) -> None:
    """Tell that nothing more is done with a container, and what other programs said of its failure."""
    if error is None:
        events.tell(Ended(name=name))
    else:
        events.tell(Ended(name=name, problem=str(error), output=error.output))
