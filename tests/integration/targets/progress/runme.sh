#!/usr/bin/env bash
# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# What a run shows while it works. A shell script, because what counts is what ansible-playbook prints.
set -euo pipefail

said=$(mktemp -d)
mkdir "$said/results-shown" "$said/results-quiet"
variables=("$@")
trap 'ansible-playbook clean.yml "${variables[@]}"; rm -r "$said"' EXIT
first=$(ansible all --list-hosts | sed -n '2s/ *//p')
second=$(ansible all --list-hosts | sed -n '3s/ *//p')

# on_terminal NAME ARGUMENTS...: run a playbook on a terminal, and keep what it prints in a file of this name.
on_terminal() {
    local name=$1
    shift
    script --quiet --return --flush --command "$(printf '%q ' ansible-playbook "$@")" /dev/null | tr -d '\r' > "$said/$name"
}

# shows NAME PATTERN...: each pattern is in a line of progress.
shows() {
    local name=$1
    shift
    for pattern in "$@"; do
        grep --quiet "^\[$pattern" "$said/$name" || { echo "no line has '[$pattern'"; cat "$said/$name"; exit 1; }
    done
}

# Which phase a look meets is up to how busy the machine is: it looks less often when a look takes longer. Which line each
# phase has is for the unit tests.
any='.*\(evaluated\|built\|[0-9] of [0-9] done\)'

shows_nothing() {
    if grep '^\[[a-z0-9-]*\( -> [a-z0-9-]*\)\?\] ' "$said/$1"; then exit 1; fi
}

echo "== Each host's lines, and the same result without them"
ansible-playbook clean.yml "$@"
ansible-playbook prepare.yml "$@"
on_terminal shown containers.yml -e result="$said/results-shown" "$@"
for host in "$first" "$second"; do
    shows shown "$host\] $any"
done
ansible-playbook left.yml "$@"
on_terminal unchanged containers.yml "$@"
shows_nothing unchanged
ansible-playbook clean.yml "$@"
ansible-playbook prepare.yml "$@"
on_terminal quiet containers.yml -e result="$said/results-quiet" -e inx_progress=false "$@"
shows_nothing quiet
diff --recursive "$said/results-shown" "$said/results-quiet"

echo "== Check mode"
ansible-playbook prepare.yml "$@"
on_terminal check containers.yml --check "$@"
shows check "$first\] evaluated [0-2] of 3"

echo "== Without a terminal there is a line a minute"
ansible-playbook containers.yml "$@" > "$said/pipe" 2>&1
shows_nothing pipe

echo "== Without pipelining, as another user's root, delegated, in a loop of tasks with async"
ansible-playbook prepare.yml "$@"
ANSIBLE_PIPELINING=0 on_terminal files containers.yml --limit "$first" "$@"
shows files "$first\] $any"
ansible-playbook prepare.yml "$@"
ANSIBLE_BECOME_ALLOW_SAME_USER=true on_terminal become containers.yml --limit "$first" --become --become-method su "$@"
shows become "$first\] $any"
ansible-playbook prepare.yml "$@"
on_terminal root containers.yml --limit "$first" --become "$@"
shows root "$first\] $any"
ansible-playbook prepare.yml "$@"
on_terminal delegated containers.yml --limit "$first" -e other="$second" "$@"
shows delegated "$first -> $second\] $any"
ansible-playbook prepare.yml "$@"
on_terminal async containers.yml --limit "$first" -e seconds=120 "$@"
shows_nothing async
ansible-playbook left.yml "$@"

echo "== On the control node, with a nix of its own"
on_terminal local local.yml "$@"
shows local "localhost\] copied 1 of 3 MiB"
if [ -n "$(ls -A /run/inx-fleet/progress 2> /dev/null)" ]; then exit 1; fi

echo "== Somebody interrupts the run, and kills another"
ansible-playbook prepare.yml "$@"
ansible-playbook interrupted.yml --limit "$first" "$@"
ansible-playbook left.yml "$@"

echo "== The host, the build host and a garbage collection"
ansible "$first" -m ansible.builtin.shell \
    -a 'bin/pip uninstall --yes six; cd lib/python3*/site-packages; echo "import time; time.sleep(3)" > slow.pth chdir=/opt/inx-fleet'
on_terminal host inx.fleet.host --limit "$first" "$@" -e ansible_python_interpreter=/usr/bin/python3 \
    -e '{"inx_host_python_packages": ["pylxd>=2.3", "jmespath", "six"]}'
ansible "$first" -m ansible.builtin.shell -a 'rm /opt/inx-fleet/lib/python3*/site-packages/slow.pth'
shows host "$first\] 0 of 1 steps done, install"
ansible-playbook prepare.yml "$@"
on_terminal system system.yml --limit "$first" "$@"
shows system "$first\] $any"
on_terminal garbage inx.fleet.collect_garbage -e inx_target="$first" "$@"
grep 'store paths deleted' "$said/garbage"
