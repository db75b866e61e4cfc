# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# What a new Incus needs for containers of inx.fleet, as the role host makes it on Debian. Part of host.nix.
{ config, lib, ... }:
let
  cfg = config.inx.host;
  share = path: {
    type = "disk";
    source = path;
    inherit path;
    readonly = "true";
    shift = "true";
  };
in
{
  options.inx.host.preseed = lib.mkOption {
    type = lib.types.bool;
    default = false;
    description = ''
      Whether to set up a new Incus: the storage pool `default` (driver `dir`), the bridge `incusbr0` (10.55.0.1/24 with
      NAT), the default profile with both, and the profile `inx-container`, which shares the store. Leave it off for an
      Incus that has its own pool and network: the role host prints what is missing there.
    '';
  };

  config = lib.mkIf (cfg.enable && cfg.preseed) {
    virtualisation.incus.preseed = {
      storage_pools = [
        {
          name = "default";
          driver = "dir";
        }
      ];
      networks = [
        {
          name = "incusbr0";
          type = "bridge";
          config = {
            "ipv4.address" = "10.55.0.1/24";
            "ipv4.nat" = "true";
            "ipv6.address" = "none";
          };
        }
      ];
      profiles = [
        {
          name = "default";
          devices = {
            root = {
              type = "disk";
              path = "/";
              pool = "default";
            };
            eth0 = {
              type = "nic";
              name = "eth0";
              network = "incusbr0";
            };
          };
        }
        {
          name = "inx-container";
          description = "The host's Nix store, read-only (inx.fleet)";
          devices = {
            nixstore = share "/nix/store";
            nixsocket = share "/nix/var/nix/daemon-socket";
          };
        }
      ];
    };

    # Containers ask the bridge's dnsmasq for their addresses and names.
    networking.firewall.interfaces.incusbr0 = {
      allowedTCPPorts = [ 53 ];
      allowedUDPPorts = [
        53
        67
      ];
    };
  };
}
