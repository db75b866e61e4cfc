# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

{
  description = "NixOS containers under Incus on their host's Nix store: modules for hosts and for containers";

  # For the shell and the formatter alone. Whoever takes a module lets it follow their own:
  #   inputs.inx.inputs.nixpkgs.follows = "nixpkgs";
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs =
    { self, nixpkgs }:
    let
      forAllSystems =
        make:
        nixpkgs.lib.genAttrs [
          "x86_64-linux"
          "aarch64-linux"
        ] (system: make nixpkgs.legacyPackages.${system});
    in
    {
      nixosModules = {
        host = ./nix/host.nix;
        container = ./nix/container.nix;
        # Both; each does nothing until it is enabled.
        default.imports = [
          self.nixosModules.host
          self.nixosModules.container
        ];
      };

      # To begin with on NixOS: nix flake init -t path:ansible_collections/inx/fleet
      templates.default = {
        path = ./nix/templates/nixos;
        description = "A NixOS host, and the systems of its containers";
      };

      # A virtual machine with two containers.
      checks = forAllSystems (pkgs: {
        fleet = pkgs.testers.runNixOSTest (
          import ./nix/test.nix {
            inherit self nixpkgs;
            inherit (pkgs.stdenv.hostPlatform) system;
          }
        );
      });

      # What `make` needs; it installs the tests' tools itself.
      devShells = forAllSystems (pkgs: {
        default = pkgs.mkShell {
          packages = [
            pkgs.git
            pkgs.gnumake
            pkgs.nixfmt
            pkgs.python3
            pkgs.shellcheck
          ];
        };
      });

      formatter = forAllSystems (pkgs: pkgs.nixfmt-tree);
    };
}
