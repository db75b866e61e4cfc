#!/usr/bin/env bash
# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The example "cluster" as its README has it, and then what becomes of containers in a cluster.
set -eux
# shellcheck source=tests/integration/targets/setup_example/example.sh
. ../setup_example/example.sh cluster inventory.yml "$@"

play "$example/prepare.yml"
nothing_changes "$example/prepare.yml"
lock
play "$example/site.yml"
nothing_changes "$example/site.yml"
play scenarios.yml
