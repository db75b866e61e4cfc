# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """What every module has that calls nix."""

    # As NIX_OPTIONS of module_utils/arguments.py.
    DOCUMENTATION = r"""
options:
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
