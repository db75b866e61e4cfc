# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# What the flake gives, and its modules evaluated for some options. The merge of NixOS is not here: a module is given
# the options that it asks for, and its own definitions are what comes out.
flake:
let
  stub = (import ./nixpkgs/flake.nix).outputs { self = stub; };
  inherit (stub) lib;
  pkgs = stub.legacyPackages.x86_64-linux;
  evaluate =
    file: config:
    let
      module = import file { inherit lib pkgs config; };
    in
    module.config // { options = module.options.inx; };

  host =
    kernel:
    evaluate flake.nixosModules.host {
      boot.kernelPackages.kernel.version = kernel;
      nix.enable = true;
      systemd.package = "systemd";
      programs.nh.clean.enable = false;
      inx.host = {
        enable = true;
        gcroots = {
          enable = true;
          maxRoots = 7;
        };
      };
    };
  container =
    options:
    evaluate flake.nixosModules.container {
      nix = {
        enable = options.nix or true;
        settings.store = "daemon";
      };
      fileSystems = { };
      swapDevices = [ ];
      zramSwap.enable = false;
      time.timeZone = options.timeZone or null;
      systemd.services = { };
      services.userborn.enable = options.userborn or false;
      system = { };
      networking = {
        networkmanager.enable = false;
        useNetworkd = true;
      };
      inx.container = {
        enable = options.enable or true;
        addresses = options.addresses or [ ];
        gateway = options.gateway or [ ];
        nesting = false;
        localtime = true;
        secrets = options.secrets or [ ];
        selfUpdate = false;
      };
    };
in
{
  preseed =
    (import (dirOf flake.nixosModules.host + "/preseed.nix") {
      inherit lib;
      config.inx.host = {
        enable = true;
        preseed = true;
      };
    }).config.virtualisation.incus.preseed;
  host = host "6.12.1";
  oldHost = host "5.10.0";
  container = {
    dhcp = container { };
    static = container {
      addresses = [ "192.168.1.20/24" ];
      gateway = [ "192.168.1.1" ];
    };
    lost = container { gateway = [ "192.168.1.1" ]; };
    timeZone = container { timeZone = "Europe/Berlin"; };
    withoutNix = container { nix = false; };
    off = container { enable = false; };
    secrets = container { secrets = [ "db-password" ]; };
    lateUsers = container {
      secrets = [ "db-password" ];
      userborn = true;
    };
  };
  modules = builtins.attrNames flake.nixosModules;
  template = builtins.attrNames (builtins.readDir flake.templates.default.path);
  checks = builtins.attrNames flake.checks.x86_64-linux;
  bothModules = flake.nixosModules.default.imports == [ flake.nixosModules.host flake.nixosModules.container ];
  shell = map toString flake.devShells.x86_64-linux.default.packages;
  formatters = flake.formatter;
}
