# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Steps for the secrets of a container: their files before all that uses them, their units after a switch. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..errors import FleetError
from ..incus.models import Instance
from ..names import lxc_name
from ..nix.sources import System
from ..redaction import HIDDEN_OLD
from .declaration import Container
from .observed import Observed
from .secret_device import directory_of, has_own_device
from .secrets import SecretsChange, missing_secrets, secrets_change, unknown_account
from .steps import Step, new_step

# What brings all of a container up anew, with the secrets as they are then.
_BOOTING = frozenset(("start", "restart"))


def change_of(declared: Container, observed: Observed) -> SecretsChange:
    """Return what changes of the secrets on the host."""
    lxc = lxc_name(declared.project, declared.name)
    return secrets_change(
        declared.secret_files,
        lxc,
        observed.secrets,
        at_rest=declared.secrets_at_rest,
        is_unmounted=_is_unmounted(declared, observed),
    )


def secrets_step(declared: Container, observed: Observed) -> Iterator[Step]:
    """Yield the step that brings the files on the host to what is declared."""
    changes = change_of(declared, observed)
    if changes:
        before, after = ({"secrets": dict(side)} if side else {} for side in (changes.before, changes.after))
        yield new_step("secrets", declared.name, changes.summary, before, after)


def removal_step(declared: Container, observed: Observed) -> Iterator[Step]:
    """Yield the step that removes all that the host has of a container's secrets."""
    if observed.secrets.is_kept:
        names = sorted(observed.secrets.files)
        summary = f"remove its secrets{': ' if names else ''}{', '.join(names)}"
        before = {"secrets": dict.fromkeys(names, HIDDEN_OLD)}
        yield new_step("secrets", declared.name, summary, before, {"secrets": dict.fromkeys(names)})


def units_step(declared: Container, observed: Observed, steps: Sequence[Step]) -> Iterator[Step]:
    """Yield the step that restarts or reloads the units of changed secrets, unless all of the container starts anew."""
    instance = observed.instance
    if declared.secret_files is None or instance is None or not _runs_on(declared, instance, steps):
        return
    declared_units = {unit for secret in declared.secret_files for unit in secret.units}
    noted = observed.secrets.notes.due.items()
    reloads: dict[str, bool] = {unit: due.reload for unit, due in noted if unit in declared_units}
    for unit, is_reload in change_of(declared, observed).units.items():
        reloads[unit] = reloads.get(unit, True) and is_reload
    if reloads:
        parts = [
            f"{verb} {', '.join(units)}"
            for verb, wanted in (("restart", False), ("reload", True))
            if (units := sorted(unit for unit, is_reload in reloads.items() if is_reload is wanted))
        ]
        after = {unit: "reload" if is_reload else "restart" for unit, is_reload in sorted(reloads.items())}
        yield new_step("restart_units", declared.name, "; ".join(parts), {}, {"secret_units": after})


def _runs_on(declared: Container, instance: Instance, steps: Sequence[Step]) -> bool:
    if _is_elsewhere(declared, instance) or declared.state not in ("started", "present"):
        return False
    thaws = any(step.action == "unfreeze" for step in steps)
    return (instance.status == "Running" or thaws) and not any(step.action in _BOOTING for step in steps)


def _is_elsewhere(declared: Container, instance: Instance) -> bool:
    """Return whether an instance is on another member than the one that is to have it."""
    return instance.location != declared.target


def check_secrets(declared: Container, wanted: System | None, observed: Observed) -> None:
    """Raise FleetError for secrets that cannot be as they are declared, as far as that is known before a change."""
    if wanted is not None and declared.state != "absent":
        error = missing_secrets(declared.name, wanted.expects, declared.secret_files)
        if error is not None:
            raise error
    instance, ids = observed.instance, observed.secrets.ids
    if instance is None or ids is None or declared.state in ("restarted", "stopped"):
        return
    if wanted is None or wanted.path == instance.running_system:
        error = unknown_account(declared.secret_files or (), ids)
        if error is not None:
            raise FleetError(f"{declared.name}: {error.problem}", error.advice)


def _is_unmounted(declared: Container, observed: Observed) -> bool:
    """Return whether a running container has the directory in its configuration only: it was not there at its start."""
    instance = observed.instance
    if instance is None or observed.secrets.is_mounted is not False:
        return False
    return has_own_device(instance.devices, directory_of(declared.project, declared.name))
