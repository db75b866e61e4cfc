# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """What every module has that calls nix."""

    # As NIX_OPTIONS of module_utils/arguments/options.py.
    DOCUMENTATION = r"""
options:
  build_in_check_mode:
    description:
      - Whether check mode builds or copies the systems that are not in the store. It then finds errors of builds, and
        diff mode shows the packages and units that change.
      - Nothing keeps these systems from garbage collection.
    type: bool
    default: false
    version_added: 0.2.0
  build_timeout:
    description:
      - Seconds to wait for each call of nix.
    type: int
    default: 3600
  evaluation_memory:
    description:
      - Memory for all processes of nix together while systems are evaluated, such as V(4GiB). It limits how many
        systems are evaluated at a time, to one at least.
      - By default, the available memory of the host less 1 GiB.
      - A NixOS system needs about 850 MiB, and each further one in the same process 450 MiB.
    type: str
"""
