# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# A flake whose nixosConfigurations are anything but systems.
{
  outputs =
    _:
    let
      package =
        name:
        derivation {
          inherit name;
          system = "x86_64-linux";
          builder = "/bin/sh";
        };
      system = toplevel: { config.system.build = { inherit toplevel; }; };
    in
    {
      packages.x86_64-linux.only-package = package "tool-1.0";
      devShells.x86_64-linux.only-shell = package "shell";
      darwinConfigurations.mac = system (package "darwin-system-25.05");
      nixosConfigurations = {
        package = package "hello-2.12";
        function = { pkgs, ... }: { };
        systems = {
          a = system (package "a");
          b = system (package "b");
        };
        without-toplevel.config.networking.hostName = "web";
        text = "/etc/nixos";
        number = 3;
        app = {
          type = "app";
          program = "/bin/sh";
        };
        home.activationPackage = package "home-manager-generation";
        module.services.nginx.enable = true;
        throws = throw "no such machine";
        toplevel-is-a-set = system { a = package "a"; };
        darwin = system (package "darwin-system-25.05");
      };
    };
}
