# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

{
  description = "The systems of a cluster's containers";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-25.11";

  outputs =
    { nixpkgs, ... }:
    let
      system =
        name: module:
        nixpkgs.lib.nixosSystem {
          system = "x86_64-linux";
          modules = [
            # nix/container.nix of the collection.
            ./inx-container.nix
            ./common.nix
            module
            { networking.hostName = name; }
          ];
        };
    in
    {
      # A container runs the system of its name.
      nixosConfigurations = {
        db = system "db" ./db.nix;
        web-1 = system "web-1" ./web.nix;
        web-2 = system "web-2" ./web.nix;
      };
    };
}
