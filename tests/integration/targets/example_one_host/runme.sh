#!/usr/bin/env bash
# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The example "one-host" as its README has it.
set -eux
# shellcheck source=tests/integration/targets/setup_example/example.sh
. ../setup_example/example.sh one-host inventory.yml "$@"
finish() {
    play clean.yml
    rm -f "$lab"
}
trap finish EXIT

lock
play "$example/site.yml"
nothing_changes "$example/site.yml"
play runs.yml
