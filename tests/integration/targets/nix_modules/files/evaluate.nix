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
      nix.enable = options.nix or true;
      inx.container = {
        enable = options.enable or true;
        addresses = options.addresses or [ ];
        gateway = options.gateway or [ ];
      };
    };
in
{
  host = host "6.12.1";
  oldHost = host "5.10.0";
  container = {
    dhcp = container { };
    static = container {
      addresses = [ "192.168.1.20/24" ];
      gateway = [ "192.168.1.1" ];
    };
    lost = container { gateway = [ "192.168.1.1" ]; };
    withoutNix = container { nix = false; };
    off = container { enable = false; };
  };
  modules = builtins.attrNames flake.nixosModules;
  bothModules = flake.nixosModules.default.imports == [ flake.nixosModules.host flake.nixosModules.container ];
  shell = map toString flake.devShells.x86_64-linux.default.packages;
  formatters = flake.formatter;
}
