# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# A build that looks at a file of the host's, and says what it saw.
{ name, file }:
derivation {
  inherit name;
  system = builtins.currentSystem;
  builder = "${builtins.storePath (builtins.getEnv "BUSYBOX")}/busybox";
  args = [ "sh" "-c" "while read -r line; do echo \"$line\"; done < ${file} > $out || echo nothing > $out" ];
}
