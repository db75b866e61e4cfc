# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# What people have beside nix/container.nix as well as beside nix/host.nix, in the form of beside_container.nix.
{
  plain.module = { };
  network-manager.module.networking.networkmanager.enable = true;
  no-firewall.module.networking.firewall.enable = false;
  tailscale.module.services.tailscale.enable = true;
  no-sudo.module.security.sudo.enable = false;
  sudo-rs.module = {
    security.sudo.enable = false;
    security.sudo-rs.enable = true;
  };
  documentation.module.documentation.nixos.enable = true;

  # Nix
  flakes-as-a-list.module.nix.settings.experimental-features = [
    "nix-command"
    "flakes"
  ];
  flakes-as-text.module.nix.settings.experimental-features = "nix-command flakes";
  flakes-as-extra-text.module.nix.settings.extra-experimental-features = "nix-command flakes";
  flakes-as-extra-list.module.nix.settings.extra-experimental-features = [ "nix-command" ];
  flakes-as-options.module.nix.extraOptions = "experimental-features = nix-command flakes";
  garbage-collection.module = {
    nix.gc = {
      automatic = true;
      dates = "weekly";
      options = "--delete-older-than 30d";
    };
    nix.optimise.automatic = true;
  };
  nh.module.programs.nh = {
    enable = true;
    clean.enable = true;
  };
  remote-builders.module = {
    nix.distributedBuilds = true;
    nix.buildMachines = [
      {
        hostName = "builder.example.org";
        system = "x86_64-linux";
      }
    ];
  };
  lix.module = { pkgs, ... }: { nix.package = pkgs.lix or pkgs.nixVersions.latest; };
  # As another manager of Nix asks for, such as Determinate's.
  no-nix.module.nix.enable = false;
  own-nixpkgs.module = {
    nixpkgs.config.allowUnfree = true;
    nixpkgs.overlays = [ (final: prev: { greeting = prev.hello; }) ];
  };
}
