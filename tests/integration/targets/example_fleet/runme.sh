#!/usr/bin/env bash
# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The example "fleet" as its README has it.
set -eux
# shellcheck source=tests/integration/targets/setup_example/example.sh
. ../setup_example/example.sh fleet inventory "$@"

play "$example/cache.yml"
lock
play "$example/site.yml"
nothing_changes "$example/site.yml"
play runs.yml -e '{"versions": {"canary": "1.0", "web": "1.0", "cache": "1.0", "db": "1.0"}}'
play newer.yml
lock
play inx.fleet.update -e inx_target=metal2 -e inx_only_tags=canary
play runs.yml -e '{"versions": {"canary": "2.0", "web": "1.0", "cache": "1.0", "db": "1.0"}}'
