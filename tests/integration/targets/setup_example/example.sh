#!/usr/bin/env bash
# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# For the runme.sh of a target that runs an example as its README has it, on lab hosts:
#   . ../setup_example/example.sh NAME INVENTORY "$@"    where the rest are the target's arguments for ansible-playbook
#   play PLAYBOOK [ARGUMENT...]                          with the example's inventory, and the lab's addresses in it
#   nothing_changes PLAYBOOK [ARGUMENT...]
work=$(mktemp --directory)
trap 'rm -rf "$work"' EXIT
# A copy: an example may fetch a file into itself, and the tree is for all tests.
cp -R ../../../../examples "$work"
example=$work/examples/$1
inventory=$example/$2
shift 2
arguments=("$@")
setup=$(realpath ../setup_example)
python=$(command -v python3)
lab=$work/lab.yml
"$python" "$setup/lab_inventory.py" "$inventory" > "$lab"

play() {
    ansible-playbook -i "$inventory" -i "$lab" "${arguments[@]}" "$@"
}

nothing_changes() {
    play "$@" | tee /dev/stderr | awk '/ : ok=/ { hosts++; if (/ changed=0 .* failed=0 /) same++ } END { exit !hosts || hosts != same }'
}

lock() {
    play "$setup/lock.yml" -e "example=$example"
}
