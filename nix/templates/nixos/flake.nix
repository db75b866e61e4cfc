# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

{
  description = "A NixOS host, and the systems of its containers";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-25.11";

  outputs =
    { nixpkgs, ... }:
    let
      # The collection, which "ansible-galaxy collection install -p ." installs beside this file.
      inx = ./ansible_collections/inx/fleet/nix;
      container =
        name: module:
        nixpkgs.lib.nixosSystem {
          system = "x86_64-linux";
          modules = [
            (inx + "/container.nix")
            {
              inx.container.enable = true;
              networking.hostName = name;
              system.stateVersion = "25.11";
            }
            module
          ];
        };
    in
    {
      nixosConfigurations = {
        host = nixpkgs.lib.nixosSystem {
          system = "x86_64-linux";
          modules = [
            (inx + "/host.nix")
            ./host.nix
          ];
        };
        # A container runs the system of its name.
        web = container "web" ./web.nix;
      };
    };
}
