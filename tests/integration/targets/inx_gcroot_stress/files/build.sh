# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# shellcheck shell=sh
# In a container: builds into a few links without end, with new builds in the place of old ones and links removed.
# Each line of its output is a build whose links stand.

mkdir -p /root/stress
cd /root/stress || exit
cat > group.nix <<'NIX'
{ name }:
builtins.map (number: import /etc/nix/own.nix { text = "${name}-${toString number}"; }) [ 1 2 3 4 ]
NIX
round=0
while :; do
    round=$((round + 1))
    # Four builds at a time: slot, slot-2, slot-3 and slot-4.
    if nix-build --quiet --out-link "slot$((round % 3))" group.nix --argstr name "$1-$round" 2> errors; then
        :
    else
        echo "failed: $(tail -n 3 errors | tr '\n' ' ')"
    fi
    case $((round % 5)) in
        1) rm -f "slot$((round % 3))-2" ;;
        3) rm -f slot1 slot1-3 ;;
    esac
done
