#!/usr/bin/env bash
# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Two hosts, one of which builds for both. A shell script, because what counts is what the play says that it changed.
set -eux

site() {
    ansible-playbook site.yml -e @fleet.yml "$@"
}

nothing_changes() {
    site "$@" | tee /dev/stderr | grep --count 'changed=0 .* failed=0' | grep --line-regexp 2
}

version() {
    ansible-playbook flake.yml -e "version=$1" "${@:2}"
}

ansible-playbook ../../../../examples/build_host.yml -e @fleet.yml "$@"
version 1 "$@"
site --check "$@"
ansible-playbook nothing.yml "$@"
site "$@"
ansible-playbook runs.yml -e version=1 "$@"
nothing_changes "$@"
version 2 "$@"
site "$@" -e at_once=1
ansible-playbook runs.yml -e version=2 "$@"
ansible-playbook inx.fleet.rollback -e @fleet.yml -e "inx_only=*" "$@"
ansible-playbook runs.yml -e version=1 "$@"
ansible-playbook refused.yml "$@"
ansible-playbook cache.yml "$@"
ansible-playbook builders.yml "$@"
ansible-playbook projects.yml -e @fleet.yml "$@"
builder=$(ansible-inventory --list | python3 -c 'import json, sys; print(sorted(json.load(sys.stdin)["_meta"]["hostvars"])[0])')
ansible-playbook inx.fleet.collect_garbage -e "inx_target=$builder" "$@" | tee /dev/stderr | grep 'Systems are kept here for .*twice'
ansible-playbook kept.yml -e @fleet.yml -e '{"kept": ["twice:default:main", "twice:shop:main"]}' "$@"
ansible-playbook inx.fleet.collect_garbage -e "inx_target=$builder" -e inx_forget_hosts=twice "$@"
ansible-playbook kept.yml -e @fleet.yml -e '{"kept": []}' "$@"
ansible-playbook inx.fleet.destroy -e @fleet.yml -e inx_only=web -e inx_confirmed=true "$@"
ansible-playbook destroyed.yml -e @fleet.yml "$@"
