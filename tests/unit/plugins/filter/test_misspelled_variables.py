# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.inx.fleet.plugins.filter.misspelled_variables import misspelled_variables


def test_a_name_that_is_close_to_a_variable_is_given_with_it() -> None:
    names = ["inx_container", "inx_containers", "inx_address", "ansible_host"]
    assert misspelled_variables(names) == {"inx_container": "inx_containers"}
