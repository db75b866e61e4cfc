# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# shellcheck shell=sh
# For the tests on the host; a build is called by its text.

roots=/nix/var/nix/gcroots/inx-fleet
auto=/nix/var/nix/gcroots/auto
notes=/srv/inx_gcroot_notes

# inside CONTAINER COMMAND: as its root, with the host's Nix daemon
inside() {
    command inside "$1" env NIX_REMOTE=daemon /bin/sh -euc "cd /root; $2" < /dev/null
}

# build CONTAINER DIRECTORY TEXT: leaves DIRECTORY/result in the container
build() {
    inside "$1" "mkdir -p $2; cd $2; exec nix-build --quiet /etc/nix/own.nix --argstr text $3" > "$notes/$3"
}

collect() {
    nix-store --gc > /dev/null
}

stands() {
    nix-store --check-validity "$(cat "$notes/$1")"
    test -e "$(cat "$notes/$1")"
}

collected() {
    test -n "$(cat "$notes/$1")"
    test ! -e "$(cat "$notes/$1")"
}

# rooted CONTAINER PATH TEXT
rooted() {
    test "$(readlink "$roots/$1$2")" = "$(cat "$notes/$3")"
}

unrooted() {
    test ! -L "$roots/$1$2"
}

# known PATH: Nix has a link to it
known() {
    find "$auto" -lname "$1" | grep -q .
}

forgotten() {
    ! find "$auto" -lname "$1" | grep .
}

# soon COMMAND: it succeeds, if not at once
soon() {
    deadline=$(($(date +%s) + 60))
    until "$@" 2> /dev/null; do
        test "$(date +%s)" -lt "$deadline"
        sleep 0.05
    done
}

# bait PATH: Nix gets a link to PATH in the container "one", from where it may then be replaced
bait() {
    inside one "mkdir -p $(dirname "$1"); nix-store --quiet --realise --add-root $1 $(cat "$notes/bait")"
}

# What a hostile container must not change: the roots of the other, and the host's own, its files, and their use.
# Sorted where it is used: the order of names in a directory says nothing.
belongings() {
    find "$roots/two" /root/same "$notes/canary" -printf '%p %l %T@ %C@\n'
    find "$auto" -lname '/root/same/*' -printf '%p %l\n'
    stat --format '%X %Y %Z' "$notes/canary" /etc/shadow
}

# Only store paths are rooted, and nothing of others has changed since remember_all
untouched() {
    test -z "$(find "$roots" -type l -printf '%l\n' | grep --invert-match --extended-regexp '^/nix/store/[0-9a-z]{32}-[^/]+$')"
    test -z "$(find "$roots" ! -type l ! -type d)"
    belongings | sort > "$notes/belongings.now"
    diff "$notes/belongings" "$notes/belongings.now"
}

remember_all() {
    echo secret > "$notes/canary"
    touch -a -d yesterday "$notes/canary"
    belongings | sort > "$notes/belongings"
}
