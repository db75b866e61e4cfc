#!/usr/bin/env bash
# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The inventory plugin and the connection plugin. The lab's host is in the inventory by two names, metal1 and metal2,
# which the plugins take for two hosts with containers of the same names. A shell script, because the inventories are
# what differs from run to run.
set -eu
arguments=("$@")
work=$(mktemp -d)

leave_nothing() {
    ansible-playbook hard.yml -e '{"is_hard": false}' "${arguments[@]}"
    ansible-playbook clean.yml "${arguments[@]}"
    rm -rf "$work"
}
trap leave_nothing EXIT

# play PLAYBOOK SOURCE... [-- ARGUMENT...]
play() {
    local playbook=$1 sources=(-i "$work/fleet.yml")
    shift
    while [ $# -gt 0 ] && [ "$1" != -- ]; do
        sources+=(-i "$1")
        shift
    done
    ansible-playbook "${sources[@]}" "$playbook" "${arguments[@]}" "${@:2}"
}

# inventory NAME OPTION... writes a file of the plugin.
inventory() {
    { echo "plugin: inx.fleet.inx"; printf '%s\n' "${@:2}"; } > "$work/$1.inx.yml"
}

# says TEXT SOURCE... : Ansible says that text when it reads the inventory.
says() {
    local text=$1 sources=()
    for source in "${@:2}"; do sources+=(-i "$source"); done
    ansible-inventory "${sources[@]}" --graph > "$work/said" 2>&1 || true
    told "$text"
}

told() {
    tr -s '\n ' ' ' < "$work/said" | grep --fixed-strings -- "$1" > /dev/null || { cat "$work/said"; return 1; }
}

set -x
ansible-playbook prepare.yml -e "work=$work" "$@"
# The examples of the documentation, word for word.
python3 files/examples.py inventory inx.fleet.inx "$work" inx.yml running.inx.yml address.inx.yml
python3 files/examples.py connection inx.fleet.incus "$work" single.yml

play all.yml "$work/inx.yml"
ansible-inventory -i "$work/fleet.yml" -i "$work/inx.yml" --list -vvv > "$work/said" 2>&1
grep --quiet user.role "$work/said"
if grep never-in-an-inventory "$work/said"; then exit 1; fi
play running.yml "$work/running.inx.yml"
play connection.yml "$work/inx.yml" -- -e "work=$work"
# The last source has the address that the example cannot know.
play single.yml "$work/single.yml" "$work/fleet.yml"

# Where root is behind a password, and no Python where Ansible looks. The password is a variable, or in a file.
word=not-for-everybody
ansible-playbook hard.yml -e '{"is_hard": true}' -e "word=$word" "${arguments[@]}"
asker() { echo "all: {hosts: {metal1: {ansible_user: asker, ansible_become: true$2}}}" > "$work/$1.yml"; }
asker unasked ''
asker asker ", ansible_become_password: $word"
asker wrong ', ansible_become_password: wrong'
says "metal1: Missing sudo password" "$work/fleet.yml" "$work/unasked.yml" "$work/inx.yml"
says "metal1: Incorrect sudo password" "$work/fleet.yml" "$work/wrong.yml" "$work/inx.yml"
play asked.yml "$work/asker.yml" "$work/inx.yml"
echo "$word" > "$work/word"
play asked.yml "$work/unasked.yml" "$work/inx.yml" -- --become-password-file "$work/word"
ansible-playbook hard.yml -e '{"is_hard": false}' "${arguments[@]}"

# The collection's own playbooks are for the hosts of containers.
for playbook in site update rollback collect_garbage destroy; do
    ansible-playbook -i "$work/fleet.yml" -i "$work/inx.yml" "inx.fleet.$playbook" --list-hosts > "$work/said"
    grep metal1 "$work/said"
    if grep web.metal1 "$work/said"; then exit 1; fi
done

# What is remembered is told until it is flushed.
rm -rf ~/.cache/inx-inventory
play address.yml "$work/address.inx.yml" -- -e status=Running
grep --recursive --quiet user.role ~/.cache/inx-inventory
if grep --recursive -e environment.KEY -e never-in-an-inventory ~/.cache/inx-inventory; then exit 1; fi
ansible-playbook stop.yml "$@"
play address.yml "$work/address.inx.yml" -- -e status=Running
play address.yml "$work/address.inx.yml" -- -e status=Stopped --flush-cache
# A host that cannot be asked is not taken for an empty one, nor is it forgotten.
echo 'all: {hosts: {metal1: {ansible_port: 1}, metal2: {ansible_port: 1}}}' > "$work/away.yml"
play address.yml "$work/away.yml" "$work/address.inx.yml" -- -e status=Stopped --flush-cache
play address.yml "$work/address.inx.yml" -- -e status=Stopped

# Hosts that cannot be asked are told of, and the others are there.
inventory some "hosts: [gone, odd, here, metal1]" "timeout: 5"
says "missing from the inventory. gone: " "$work/fleet.yml" hosts.yml "$work/some.inx.yml"
told "gone: Failed to connect to the host via ssh"
told "odd: The host odd is reached by the connection plugin 'winrm'"
told "here: Its Incus cannot be queried: "
told "web.metal1"
inventory none "hosts: [gone, metal1]" "timeout: 5" "unreachable: fail"
ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED=true \
    says "The containers of these hosts are not known. gone: Failed" "$work/fleet.yml" hosts.yml "$work/none.inx.yml"

# Without hosts before it, and without jmespath, no containers vanish silently.
ends() {
    if ansible-inventory "${@:2}" --graph > "$work/said" 2>&1; then exit 1; fi
    told "$1"
}
ends "inx.yml: hosts: the inventory has no host before this file." -i "$work/inx.yml" -i "$work/fleet.yml"
inventory nobody "hosts: [nobody]"
ends "'nobody' is neither a host nor a group of the inventory sources before this file" -i "$work/fleet.yml" -i "$work/nobody.inx.yml"
mkdir -p "$work/without/jmespath"
echo "raise ImportError('there is no jmespath')" > "$work/without/jmespath/__init__.py"
inventory running "query: \"[?status=='Running']\""
PYTHONPATH="$work/without:${PYTHONPATH-}" ends "It is needed on the control node, for 'query'." -i "$work/fleet.yml" -i "$work/running.inx.yml"

# What is wrong with the options is told.
refused() {
    inventory bad "${@:2}"
    says "$1" "$work/fleet.yml" "$work/bad.inx.yml"
}
refused "query: '[?status=' is not a JMESPath expression" 'query: "[?status="'
refused "query: '[].name' does not select from the list of containers" 'query: "[].name"'
refused "hostname: default/web of metal1 and shop/web of metal1 would both be called 'web'" "hostname: inx_name"
refused "A name has letters, digits, dots, dashes and underscores" "hostname: inx_name ~ ' ' ~ inx_host"
refused "Could not set nothing for host" "strict: true" "compose: {nothing: inx_nothing}"

# The host is this machine: with the lab's Incus in the place of its own, in mounts that nobody else sees.
unshare --mount --propagation private bash -euxs -- "${arguments[@]}" << END
mount -t tmpfs tmpfs /var/lib
mkdir /var/lib/incus
$(cat "$work/forward") &
forward=\$!
trap 'kill \$forward' EXIT
until [ -S /var/lib/incus/unix.socket ]; do kill -0 \$forward; sleep 0.1; done
ansible-playbook -i hosts.yml local.yml "\$@"
END
