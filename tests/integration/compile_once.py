# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""For the hosts of a test run, as their Python's sitecustomize: compile once what is imported from zip files.

Ansible sends a module and all that it imports as source in a zip file, and Python keeps nothing that it compiles from
there (its library's zipimport). That is half of the time of a short module, thousands of times in a run of the tests.
What is run stays the same. Benchmarks measure without this.
"""

from __future__ import annotations

import _imp
import marshal
import os
import sys
import zipimport
from types import CodeType

_CACHE = f"/var/cache/inx-fleet-tests/{sys.implementation.cache_tag}"
_compile_source = zipimport._compile_source


def _compile_once(path: str, source: bytes) -> CodeType:
    """What zipimport makes of ``source``, from an earlier run if it is kept. In each run ``path`` is another."""
    # The hash that names a source in the library's own cache: importlib.util.source_hash.
    kept = f"{_CACHE}/{_imp.source_hash(0, source).hex()}"
    try:
        with open(kept, "rb") as file:
            code: CodeType = marshal.loads(file.read())  # noqa: S302 - what this wrote
    except OSError:
        code = _compile_source(path, source)
        _keep(kept, code)
    else:
        _imp._fix_co_filename(code, path)
    return code


def _keep(path: str, code: CodeType) -> None:
    unfinished = f"{path}.{os.getpid()}"
    try:
        os.makedirs(_CACHE, exist_ok=True)
        with open(unfinished, "wb") as file:
            file.write(marshal.dumps(code))
        os.replace(unfinished, path)
    except OSError:
        pass  # nobody but root has the cache, and a full disk is no fault of the module


zipimport._compile_source = _compile_once
