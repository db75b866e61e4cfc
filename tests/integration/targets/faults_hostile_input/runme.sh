#!/usr/bin/env bash
# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# What a whole run of ansible-playbook says, at its most talkative: no secret, and nothing that a terminal would act on.
set -eu
export ANSIBLE_ROLES_PATH=..

said=$(mktemp)
reports=$(mktemp -d)
trap 'ansible-playbook clean.yml "$@"; rm -rf "$said" "$reports"' EXIT
INX_SECRET=hidden$(od -An -N8 -tx1 /dev/urandom | tr -d ' \n')
export INX_SECRET

ansible-playbook secrets.yml -vvv --diff "$@" > "$said" 2>&1 || { tail -n 60 "$said"; exit 1; }
encoded=$(printf %s "$INX_SECRET" | base64 | cut -c 1-20)
if grep -F -n -e "$INX_SECRET" -e "$encoded" "$said"; then
    echo "a secret was shown"
    exit 1
fi
# The control: what is not secret is in there.
grep -q 'plainly-shown' "$said"

# The reports of a drift in which there are secrets, and their playbook.
rc=0
ansible-playbook inx.fleet.drift -vvv --diff "$@" -e @drift.yml -e "inx_drift_html=$reports/fleet.html" \
    -e "inx_drift_json=$reports/fleet.json" -e "inx_drift_junit=$reports/fleet.xml" > "$said" 2>&1 || rc=$?
for report in html json xml; do
    if [ "$rc" = 0 ] || ! grep -q 'plainly-shown' "$reports/fleet.$report"; then
        tail -n 60 "$said"
        echo "the drift is not in the report: $report"
        exit 1
    fi
done
if grep -F -n "$INX_SECRET" "$said" "$reports"/*; then
    echo "a secret was shown"
    exit 1
fi
if grep -F '<script>plainly' "$reports/fleet.html" || ! grep -F -q '{{ 7 * 191 }}' "$reports/fleet.html" \
    || ! grep -F -q '(new secret)' "$reports/fleet.html"; then
    echo "what is declared is not as it should be in the page"
    exit 1
fi
if LC_ALL=C grep -n -P '[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\xa8\xa9\xae]' "$reports"/*; then
    echo "a terminal would act on this"
    exit 1
fi

ansible-playbook output.yml -vvv --diff "$@" > "$said" 2>&1 || { tail -n 60 "$said"; exit 1; }
if LC_ALL=C grep -n -P '[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\xa8\xa9\xae]' "$said"; then
    echo "a terminal would act on this"
    exit 1
fi

ansible-playbook report.yml "$@"
