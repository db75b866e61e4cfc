# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# shellcheck shell=sh

# Wait until each secret belongs to its owner, whose id may be new in this system. A run of inx_container on the host does
# that as soon as it sees the users. If there is none, this ends by itself. The host writes lines of NAME USER GROUP.
owners=/inx/secrets/.owners

# Print the id of a name in a passwd(5) or group(5), nothing if it is not there.
id_of() {
  case $2 in
    *[!0-9]*) ;;
    *)
      echo "$2"
      return
      ;;
  esac
  while IFS=: read -r name _ id _; do
    if [ "$name" = "$2" ]; then
      echo "$id"
      return
    fi
  done < "$1"
}

# Print the secrets that do not belong to their owners yet, except for those whose owners this system does not have.
late_secrets() {
  while read -r secret user group; do
    uid=$(id_of /etc/passwd "$user")
    gid=$(id_of /etc/group "$group")
    if [ -n "$uid" ] && [ -n "$gid" ] && [ -e "/inx/secrets/$secret" ] \
      && [ "$(stat -c %u:%g "/inx/secrets/$secret")" != "$uid:$gid" ]; then
      echo "$secret"
    fi
  done < "$owners"
}

[ -r "$owners" ] || exit 0
tries=0
while late=$(late_secrets) && [ -n "$late" ]; do
  if [ "$tries" = 400 ]; then
    # shellcheck disable=SC2086 # several words
    echo "Secrets that do not belong to their owners until inx_container runs:" $late >&2
    exit 0
  fi
  tries=$((tries + 1))
  sleep 0.05
done
