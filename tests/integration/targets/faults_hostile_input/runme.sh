#!/usr/bin/env bash
# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# What a whole run of ansible-playbook says, at its most talkative: no secret, and nothing that a terminal would act on.
set -eu
export ANSIBLE_ROLES_PATH=..

said=$(mktemp)
trap 'ansible-playbook clean.yml "$@"; rm -f "$said"' EXIT
INX_SECRET=hidden$(od -An -N8 -tx1 /dev/urandom | tr -d ' \n')
export INX_SECRET

ansible-playbook secrets.yml -vvv --diff "$@" > "$said" 2>&1 || { tail -n 60 "$said"; exit 1; }
if grep -F -n "$INX_SECRET" "$said"; then
    echo "a secret was shown"
    exit 1
fi
# The control: what is not secret is in there.
grep -q 'plainly-shown' "$said"

ansible-playbook output.yml -vvv --diff "$@" > "$said" 2>&1 || { tail -n 60 "$said"; exit 1; }
if LC_ALL=C grep -n -P '[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\xa8\xa9\xae]' "$said"; then
    echo "a terminal would act on this"
    exit 1
fi

ansible-playbook report.yml "$@"
