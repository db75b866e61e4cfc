#!/usr/bin/env bash
# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The playbook collect_garbage, as a user calls it. A shell script, because a role cannot run a playbook.
set -eux -o pipefail

said=$(mktemp)
trap 'rm "$said"; ansible-playbook clean.yml "$@"' EXIT
ansible-playbook prepare.yml "$@"
ansible-playbook inx.fleet.collect_garbage --check -e inx_keep_generations=2 -e inx_remove_unused=true "$@"
if ansible-playbook inx.fleet.collect_garbage -e inx_keep_generation=2 "$@"; then exit 1; fi
ansible-playbook unchanged.yml "$@"
ansible-playbook inx.fleet.collect_garbage -e inx_keep_generations=2 -e inx_older_than=1d "$@"
ansible-playbook unchanged.yml "$@"
ansible-playbook incomplete.yml "$@"
if ansible-playbook inx.fleet.collect_garbage -e inx_keep_generations=2 "$@"; then exit 1; fi
ansible-playbook unchanged.yml "$@"
ansible-playbook mended.yml "$@"
ansible-playbook bad.yml -e bad=true "$@"
ansible-playbook inx.fleet.collect_garbage -e inx_keep_generations=2 "$@"
ansible-playbook unchanged.yml "$@"
ansible-playbook bad.yml -e bad=false "$@"
ansible-playbook inx.fleet.collect_garbage -e inx_keep_generations=2 -e inx_remove_unused=true "$@" | tee "$said"
tr -s '\n ' ' ' < "$said" | grep ': removed /nix/[^ ]*/gone, removed generations .* store paths deleted, '
ansible-playbook collected.yml "$@"
! ansible-playbook inx.fleet.collect_garbage -e inx_keep_generations=0 "$@"
