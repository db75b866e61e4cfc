# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What plugins run with in their tests: a clock, and replacements of what they call on a host."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import pytest
from ansible.module_utils import basic


@dataclass
class Call:
    """A function that notes what it is called with, and returns or raises what it is given."""

    answer: Any = None
    arguments: tuple[Any, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    count: int = 0

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        self.arguments, self.options, self.count = arguments, options, self.count + 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Run:
    """Runs a module and returns its result, with its warnings in ``warned``."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], give: Callable[..., None]
    ) -> None:
        self._monkeypatch, self._capsys, self._give = monkeypatch, capsys, give

    def __call__(self, module: ModuleType, *, check: bool = False, diff: bool = False, **parameters: Any) -> Any:
        warned: list[str] = []
        self._monkeypatch.setattr(basic.AnsibleModule, "warn", lambda _self, text: warned.append(text))
        self._monkeypatch.setattr(basic.AnsibleModule, "log", lambda *_arguments, **_options: None)
        self._give(**parameters, _ansible_check_mode=check, _ansible_diff=diff)
        with pytest.raises(SystemExit):
            module.main()
        return {"failed": False, **json.loads(self._capsys.readouterr().out), "warned": warned}

    def replace(self, module: ModuleType, name: str, answer: Any = None) -> Call:
        """Replace what a module calls."""
        call = Call(answer)
        self._monkeypatch.setattr(module, name, call)
        return call


class Clock:
    """A clock on which time passes only in pauses, which it notes."""

    def __init__(self) -> None:
        self.pauses: list[float] = []

    def now(self) -> float:
        return 100 + sum(self.pauses)
