# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Attacks by root in a container, on lab hosts alone: attacks.py PART... prints rows for the table of faults.

Each is a shell script that succeeds when the attack was fended off, and says what it saw when it was not. In a
container it runs as its root, entered from the host, so that not even the seccomp filter of Incus is in its way. Where
an attack could fail for another reason than the defence, a control shows that it works where it may.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence

PLACE = "/srv/faults_container_to_host"
PROFILES = "/nix/var/nix/profiles/inx-container"
AUTO = "/nix/var/nix/gcroots/auto"

PRELUDE = r"""
set -eu
export NIX_REMOTE=daemon HOME=/root
cd /root
said=$(mktemp)
trap 'rm -f "$said"' EXIT
# refused COMMAND...: it must fail, and how is in $code
refused() {
    code=0
    "$@" > "$said" 2>&1 || code=$?
    if test "$code" = 0; then
        echo "this succeeded: $*"
        cat "$said"
        exit 1
    fi
}
# says WORDS COMMAND...: it must fail with them
says() {
    words=$1
    shift
    refused "$@"
    grep -q -e "$words" "$said" || { echo "$*: it did not say '$words' but ended with $code:"; cat "$said"; exit 1; }
}
# soon COMMAND...: it succeeds, if not at once
soon() {
    tries=0
    until "$@"; do
        tries=$((tries + 1))
        test "$tries" -lt 600
        sleep 0.1
    done
}
"""

READ_ONLY = "says 'Read-only file system'"
SYSTEM = "$(readlink /run/current-system)"
OWN = "nix-build --no-out-link /etc/nix/own.nix --argstr text"

STORE = [
    # The control: it can mount, so the rest is not refused for want of that.
    "mount --bind /root /mnt; touch /mnt/control; umount /mnt; rm /root/control",
    f"{READ_ONLY} touch /nix/store/planted",
    f"{READ_ONLY} rm -f {SYSTEM}/init",
    f"{READ_ONLY} chmod 0777 /nix/store",
    "refused mount -o remount,rw,bind /nix/store; refused touch /nix/store/planted",
    "refused mount -o remount,rw /nix/store; refused touch /nix/store/planted",
    "refused unshare --mount sh -c 'mount --bind /nix/store /mnt; mount -o remount,rw,bind /mnt; touch /mnt/planted'",
    "refused unshare --user --map-root-user --mount sh -c 'mount -o remount,rw,bind /nix/store; touch /nix/store/x'",
    f"{READ_ONLY} rm -f /nix/var/nix/daemon-socket/socket",
    f"{READ_ONLY} touch /nix/var/nix/daemon-socket/planted",
]

DATABASE = [
    "test ! -e /nix/var/nix/db/db.sqlite; test ! -e /nix/var/nix/db/big-lock; test ! -e /nix/var/nix/gc.lock",
    f'test "$(cat $({OWN} without-the-database))" = without-the-database',
    f"nix-store --query --references {SYSTEM} | grep -q /nix/store/",
]


def leak(number: int, option: str) -> str:
    """A build that looks at a file of the host's, and an option that would let it."""
    build = f"nix-build --no-out-link /root/leak.nix --argstr name leak-{number} --argstr file {PLACE}/secret {option}"
    return f"BUSYBOX=$(sed -n 's/.*\"\\(.*-busybox\\)\".*/\\1/p' /etc/nix/own.nix); export BUSYBOX; cat $({build})"


LEAKS = [
    "",
    "--option sandbox false",
    "--option sandbox relaxed",
    "--option sandbox false --option sandbox-fallback true",
    f"--option extra-sandbox-paths {PLACE}",
    f"--option sandbox-paths {PLACE}",
    "--option trusted-users '*' --option sandbox false",
    "--option build-users-group '' --option sandbox false",
]

TRUST = [
    "nix store info --json | grep -q '\"trusted\":0'",
    "NIX_CONFIG='trusted-users = *' nix store info --json | grep -q '\"trusted\":0'",
    *(f'test "$({leak(number, option)})" = nothing' for number, option in enumerate(LEAKS)),
    f"{OWN} hooked --option post-build-hook {PLACE}/hook",
    f"{OWN} hooked-2 --option pre-build-hook {PLACE}/hook",
    f"{OWN} hooked-3 --option build-hook {PLACE}/hook --option builders 'ssh://nobody@localhost x86_64-linux'",
    "says 'not privileged' nix-store --verify --repair",
    f"says trusted-users nix-store --realise --repair {SYSTEM}",
    # What only a signature makes good: in a cache, and in an archive.
    "refused nix copy --no-check-sigs --from file:///root/cache $(cat /root/forged)",
    "refused nix-store --import < /root/forged.nar",
    # A root wherever it likes (AddPermRoot).
    f"says 'not privileged' perl /root/worker.pl 47 {SYSTEM} {PROFILES}/victim/planted",
    f"says 'not privileged' perl /root/worker.pl 47 {SYSTEM} /nix/var/nix/gcroots/planted",
]

OTHERS = [
    'test "$(ls -A /nix/var/nix/profiles | tr "\\n" " ")" = "system system-1-link "',
    f"{READ_ONLY} ln -sfn /nix/store /nix/var/nix/profiles/system",
    "refused mount -o remount,rw,bind /nix/var/nix/profiles; refused touch /nix/var/nix/profiles/planted",
    # Up and out of what is mounted, by names and by the number of an inode (2 is the root of a disk).
    "test ! -e /nix/var/nix/profiles/../victim; test ! -e /nix/var/nix/profiles/../inx-container",
    r"""perl -e '
        my %number = (x86_64 => 304, aarch64 => 265);
        open(my $mount, "<", "/nix/store") or die;
        my $handle = pack("Ll", 8, 1) . pack("LL", 2, 0);
        exit(syscall($number{$ARGV[0]}, fileno($mount), $handle, 65536) < 0 ? 0 : 1)' $(uname -m)""",
    "test ! -e /var/lib/incus; test ! -e /nix/var/nix/gcroots/inx-fleet",
    "refused mknod /root/disk b 8 0",
    "refused mount -t ext4 /dev/vda /mnt; refused mount -t ext4 /dev/sda1 /mnt",
    "! cat /proc/[0-9]*/cmdline 2> /dev/null | tr '\\0' ' ' | grep -q '^inx-victim-marke[r]'",
    # Incus answers it, of itself alone, and takes nothing from it.
    "curl -sf --unix-socket /dev/incus/sock http://incus/1.0 | grep -q instance_type",
    "refused curl -sf --unix-socket /dev/incus/sock -X PUT -d x http://incus/1.0/config/user.planted",
    "refused curl -sf --unix-socket /dev/incus/sock http://incus/1.0/instances",
]

# On the host: what the attacks need.
PREPARE = f"""
echo of-the-host > {PLACE}/secret
printf '#!/bin/sh\\ntouch {PLACE}/hooked\\n' > {PLACE}/hook
chmod 0755 {PLACE}/hook
for file in worker.pl leak.nix; do
    inside evil sh -c "cat > /root/$file" < {PLACE}/$file
done
inside evil mkdir -p /mnt
inside victim perl -e '$0 = "inx-victim-marker"; fork and exit; close STDOUT; close STDERR; sleep 900' < /dev/null
inside evil sh -ec 'export NIX_REMOTE=daemon
    {OWN} forged > /root/forged
    nix-store --export $(cat /root/forged) > /root/forged.nar
    nix copy --to file:///root/cache $(cat /root/forged)' 2> /dev/null
nix-store --delete "$(inside evil cat /root/forged)" > /dev/null 2>&1
"""

# On the host: that the attacks are attacks, and after them that all is as it was.
HOST = [
    # Somebody whom the daemon trusts can do it.
    f"""eval "$(inside evil cat /etc/nix/own.nix | sed -n 's/.*"\\(.*-busybox\\)".*/BUSYBOX=\\1/p')"; export BUSYBOX
        test "$(cat $(nix-build --no-out-link {PLACE}/leak.nix --argstr name leak-host --argstr file {PLACE}/secret \
          --option sandbox false))" = of-the-host""",
    f"test ! -e {PLACE}/hooked",
    f"test ! -e {PROFILES}/victim/planted; test ! -e /nix/var/nix/gcroots/planted; test ! -e /nix/store/planted",
    f"test \"$(ls -A {PROFILES}/victim | tr '\\n' ' ')\" = 'system system-1-link '",
    "for name in evil victim; do nix-store --verify-path $(inside $name readlink /run/current-system); done",
    "test -S /nix/var/nix/daemon-socket/socket",
    # The ids of the isolated one are its own.
    """test "$(inside evil cat /proc/self/uid_map)" != "$(inside victim cat /proc/self/uid_map)" """,
    f"test \"$(cat $(inside victim sh -c 'NIX_REMOTE=daemon {OWN} isolated'))\" = isolated",
]

# What no nix sends to the daemon: a link in gcroots/auto with an impossible text (AddIndirectRoot).
IMPOSSIBLE = "inside evil perl /root/worker.pl 12 /root/LONG/x"
GONE = f"test -z \"$(find {AUTO} -lname '*aaaaaaaaaa*')\""

COLLECTION = [
    # The control: it stops a collection.
    f"systemctl stop inx-gcroots.path inx-gcroots.service; {IMPOSSIBLE}; says 'aaaaaaaaaa' nix-store --gc",
    f"systemctl start nix-gc.service; {GONE}",
    f"systemctl start inx-gcroots.path inx-gcroots.service; {IMPOSSIBLE}; soon eval '{GONE}'; nix-store --gc --quiet",
]


def trap(lay: str, walk: str) -> str:
    """Something that a container with self_update leaves in its profile, and what the host does there."""
    return f"inside self sh -ec 'cd /nix/var/nix/profiles; {lay}'; {walk}"


DEEP = 'perl -e "my \\$n = q(d) x 200; for (1..1500) { mkdir \\$n; chdir \\$n or die }"'
COLLECTED = "systemctl start nix-gc.service"

TRAPS = [
    # A program that runs as the host's root for whoever starts it.
    trap(
        "cp /bin/dash sh; chmod 4755 sh",
        f"test -u {PROFILES}/self/sh; says 'Permission denied' su nobody -s /bin/sh -c '{PROFILES}/self/sh -c true'",
    ),
    # What nix-env opens and writes, as a link to a file of the host.
    trap(
        "ln -sfn /etc/inx-planted system.lock; ln -sfn system-1-link system-2-link",
        f"{COLLECTED}; test ! -e /etc/inx-planted; test -L {PROFILES}/self/system-2-link",
    ),
    # What would end each collection with an error.
    trap('ln -s /$(printf %300s | tr " " a)/x long', f"{COLLECTED}; test ! -L {PROFILES}/self/long"),
    trap("ln -s circle circle; ln -s circle/x system-3-link", f"{COLLECTED}; test ! -L {PROFILES}/self/system-3-link"),
    trap(DEEP, COLLECTED),
]

PARTS: dict[str, list[tuple[str, str, list[str]]]] = {
    "all": [
        ("container to host: the store and the socket", "evil", STORE),
        ("container to host: without the database", "evil", DATABASE),
        ("container to host: trust of the daemon", "evil", TRUST),
        ("container to host: other containers and the disk", "evil", OTHERS),
        ("container to host: afterwards, on the host", "host", HOST),
    ],
    "traps": [
        ("container to host: links that stop the collection", "host", COLLECTION),
        ("container to host: traps in a writable profile", "host", TRAPS),
    ],
    "deep": [("container to host: a removal", "host", [trap(DEEP, "true")])],
}


def run(place: str, script: str) -> str:
    """Run an attack; why it was not fended off, or nothing."""
    command = ["sh", "-c", PRELUDE + script]
    if place != "host":
        command = ["inside", place, *command]
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="backslashreplace",
        timeout=300,
        check=False,
    )
    return "" if done.returncode == 0 else f"{script.strip()}\n{done.stdout[-1500:]}(code {done.returncode})\n"


def main(parts: Sequence[str]) -> int:
    """Try the attacks; 1 when one was not fended off."""
    rows, lost = [], 0
    for part in parts:
        if part == "all":
            subprocess.run(["sh", "-euc", PREPARE], check=True, stdout=subprocess.DEVNULL)
        for claim, place, scripts in PARTS[part]:
            said = [why for script in scripts if (why := run(place, script))]
            sys.stderr.writelines(f"{claim}: {why}" for why in said)
            lost += len(said)
            rows.append({"part": claim, "tried": len(scripts), "survived": len(scripts) - len(said), "lost": len(said)})
    print(json.dumps(rows))
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
