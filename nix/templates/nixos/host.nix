# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

{ pkgs, ... }:
{
  # The present configuration of this machine.
  imports = [ ./configuration.nix ];

  inx.host.enable = true;
  # Set up a new Incus: a storage pool, a bridge, and the profile that shares the store.
  inx.host.preseed = true;

  environment.systemPackages = [ pkgs.ansible ];
}
