# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# A NixOS container of inx.fleet: it boots from its host's Nix store, and builds through its host's Nix daemon.
#   imports = [ .../nix/container.nix ];
#   inx.container.enable = true;
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.inx.container;
  isStatic = cfg.addresses != [ ];
in
{
  options.inx.container = {
    enable = lib.mkEnableOption "what a container of inx.fleet needs";

    addresses = lib.mkOption {
      type = lib.types.listOf lib.types.str;
      default = [ ];
      example = [ "192.168.1.20/24" ];
      description = ''
        Addresses of eth0 with their prefix lengths, for a network without a DHCP server of its own, such as a macvlan
        on a LAN. Without any, eth0 takes its IPv4 address from DHCP. That is how it gets the one in `ipv4.address` of
        its device in Incus.
      '';
    };

    gateway = lib.mkOption {
      type = lib.types.listOf lib.types.str;
      default = [ ];
      example = [ "192.168.1.1" ];
      description = ''
        Default gateways for these addresses, one for IPv4 and one for IPv6. Name servers go into
        `networking.nameservers`.
      '';
    };
  };

  config = lib.mkIf cfg.enable (
    lib.mkMerge [
      {
        # No kernel, no initial file system, no boot loader: Incus starts the system's init.
        boot.isContainer = true;

        # The container is called as its instance is, unless the system says otherwise.
        networking.hostName = lib.mkDefault "";

        # nftables needs what the host has loaded for Incus. Modules for iptables cannot be loaded from here.
        networking.nftables.enable = lib.mkDefault true;

        networking.useDHCP = false;
        networking.useNetworkd = true;
        networking.useHostResolvConf = false;
        systemd.network.networks."50-eth0" = {
          matchConfig.Name = "eth0";
          linkConfig.RequiredForOnline = "routable";
          networkConfig = {
            DHCP = if isStatic then "no" else "ipv4";
            IPv6AcceptRA = true;
          };
          address = cfg.addresses;
          gateway = cfg.gateway;
        };

        # networkd waits for udev's word on eth0, since Incus leaves /sys writable, and NixOS leaves this unit out of
        # containers.
        systemd.additionalUpstreamSystemUnits = [ "systemd-udev-trigger.service" ];
        # What an unprivileged container cannot do for its services, such as to mount their credentials, is taken out of
        # them at every boot, as in the images of Incus.
        systemd.packages = [ pkgs.distrobuilder.generator ];

        assertions = [
          {
            assertion = isStatic || cfg.gateway == [ ];
            message = "inx.container.gateway goes with inx.container.addresses: DHCP brings its own.";
          }
        ];
      }

      (lib.mkIf config.nix.enable {
        # The store is the host's, and so is the daemon. The setting holds for every client however it was started,
        # while sudo, ssh and services each drop NIX_REMOTE in their own way. The variable is for those that ask for it.
        nix.settings.store = "daemon";
        environment.variables.NIX_REMOTE = "daemon";
        systemd.globalEnvironment.NIX_REMOTE = "daemon";
        security.sudo.extraConfig = ''
          Defaults env_keep += "NIX_REMOTE"
        '';

        # No daemon of its own, nor users that it would build as.
        systemd.sockets.nix-daemon.enable = false;
        systemd.services.nix-daemon.enable = false;
        nix.nrBuildUsers = 0;

        # To collect and to optimise is up to the host, also where all machines of a fleet share a module that does so.
        nix.gc.automatic = lib.mkForce false;
        nix.optimise.automatic = lib.mkForce false;

        nix.channel.enable = lib.mkDefault false;
        nix.settings.experimental-features = [
          "nix-command"
          "flakes"
        ];
      })
    ]
  );
}
