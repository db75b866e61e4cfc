# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The base of all modules. It imports little, since modules start anew for each task."""

from __future__ import annotations

import atexit
import os
import resource
from collections.abc import Collection, Mapping
from contextlib import suppress
from functools import cached_property
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..progress.events import Events
from ..progress.file import ProgressFile
from ..redaction import credentials
from ..runlogs.writer import RunLog


class FleetModule(AnsibleModule):
    """A module that hides the credentials in its parameters, shows its progress, and keeps a log.

    Ansible hides what an argument spec marks as a whole, and that only.
    """

    params: dict[str, Any]
    _is_valid = False
    _progress: ProgressFile | None = None

    def __init__(self, argument_spec: dict[str, Any], **options: Any) -> None:
        leave_no_core()
        super().__init__(argument_spec, **options)
        self._is_valid = True

    def _load_params(self) -> None:
        """Take null for an option that is not given."""
        super()._load_params()
        self.params = given(self.params, self.argument_spec)

    def _log_invocation(self) -> None:
        """Find the credentials before anything is written to the journal."""
        self.no_log_values.update(credentials(self.params))
        super()._log_invocation()

    def fail_json(self, msg: str, **results: Any) -> Any:
        """Find them also when Ansible refuses the parameters, before it logs them."""
        self._close_progress()
        self.no_log_values.update(credentials(self.params))
        refused = [] if self._is_valid else self.refused_entries()
        text = "\n".join(refused) or msg
        path = self._end_log(results, text, failed=True)
        if path is not None:
            text = f"{text}\nThe log of the run: {path}"
        super().fail_json(text, **results, **({} if path is None else {"log": path}))

    def refused_entries(self) -> list[str]:
        """Return errors that say more than Ansible's own of refused parameters."""
        return []

    def exit_json(self, **results: Any) -> Any:
        """Remove what shows the progress first: the result says it all."""
        self._close_progress()
        path = self._end_log(results, "", failed=False)
        super().exit_json(**results, **({} if path is None else {"log": path}))

    @cached_property
    def events(self) -> Events:
        """Where the run tells what it does. A file shows its progress until the module ends, however it ends."""
        self._progress = ProgressFile(self._name)
        atexit.register(self._progress.close)
        return Events(self._progress, *([] if self.run_log is None else [self.run_log]))

    @cached_property
    def run_log(self) -> RunLog | None:
        """The log of the run, None in check mode. It is a file as soon as anything changes."""
        if self.check_mode:
            return None
        name = str(self._name).rpartition(".")[2]
        return RunLog(name, self.params.get("project") or "default", lambda: self.no_log_values)

    def _end_log(self, results: Mapping[str, Any], message: str, *, failed: bool) -> str | None:
        """Write the end of the log, and return its path, None without one."""
        if not self._is_valid or self.run_log is None:
            return None
        path = self.run_log.end(results, message, failed=failed)
        if self.run_log.problem is not None and os.geteuid() == 0:
            self.warn(self.run_log.problem)
        return path

    def _close_progress(self) -> None:
        if self._progress is not None:
            self._progress.close()
            atexit.unregister(self._progress.close)
            self._progress = None

    def hide(self, values: Collection[str]) -> None:
        """Hide values wherever they appear in the result."""
        self.no_log_values.update(values)


def leave_no_core() -> None:
    """Have no core file written of a process that has secrets, nor of its children.

    With a limit of 1 the kernel pipes none to a program either (fs/coredump.c), such as to systemd-coredump.
    """
    with suppress(OSError, ValueError):
        hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
        resource.setrlimit(resource.RLIMIT_CORE, (1, hard or 1))


def given(value: Any, options: Mapping[str, Any]) -> Any:
    """Return parameters without the options that are null, which Ansible's checks would take for given ones."""
    if isinstance(value, list):
        return [given(entry, options) for entry in value]
    if not isinstance(value, Mapping):
        return value
    return {
        key: given(entry, options[key]["options"]) if "options" in options.get(key, {}) else entry
        for key, entry in value.items()
        if entry is not None or key not in options
    }
