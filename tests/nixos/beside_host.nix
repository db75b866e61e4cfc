# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# What people have beside nix/host.nix, in the form of beside_container.nix.
import ./beside_both.nix
// {
  no-gcroots.module.inx.host.gcroots.enable = false;
  max-roots.module.inx.host.gcroots.maxRoots = 100;

  # Incus
  incus.module = {
    virtualisation.incus.enable = true;
    virtualisation.incus.ui.enable = true;
    networking.nftables.enable = true;
    users.users.alice = {
      isNormalUser = true;
      extraGroups = [ "incus-admin" ];
    };
  };
  incus-preseed.module.virtualisation.incus.preseed = {
    storage_pools = [
      {
        name = "default";
        driver = "btrfs";
      }
    ];
    networks = [
      {
        name = "incusbr0";
        type = "bridge";
      }
    ];
  };
  incus-newest.module = { pkgs, ... }: { virtualisation.incus.package = pkgs.incus; };
  iptables = {
    module.networking.nftables.enable = false;
    refused = [ "(I|i)ncus.*nftables" ];
  };
  libvirt.module.virtualisation.libvirtd.enable = true;
  docker.module.virtualisation.docker.enable = true;
  podman.module.virtualisation.podman.enable = true;
  nixos-containers.module.containers.old.config.system.stateVersion = "24.05";
  microcode.module.hardware.cpu.intel.updateMicrocode = true;

  # Nix
  nix-settings.module.nix.settings = {
    auto-optimise-store = true;
    min-free = 10737418240;
    trusted-users = [ "@wheel" ];
  };
  auto-upgrade.module.system.autoUpgrade = {
    enable = true;
    flake = "github:example/hosts";
  };
  # Networks
  static-address.module = {
    networking.useDHCP = false;
    networking.interfaces.enp1s0.ipv4.addresses = [
      {
        address = "192.168.1.10";
        prefixLength = 24;
      }
    ];
    networking.defaultGateway = "192.168.1.1";
    networking.nameservers = [ "192.168.1.1" ];
  };
  networkd.module = {
    networking.useNetworkd = true;
    networking.firewall.trustedInterfaces = [ "incusbr0" ];
  };
  bridge.module = {
    networking.bridges.br0.interfaces = [ "enp1s0" ];
    networking.interfaces.br0.useDHCP = true;
  };

  # The system
  sshd.module = {
    services.openssh.enable = true;
    users.users.root.openssh.authorizedKeys.keys = [ "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIO example" ];
  };
  systemd-boot.module = { lib, ... }: {
    boot.loader.grub.enable = false;
    boot.loader.systemd-boot.enable = true;
    boot.loader.efi.canTouchEfiVariables = true;
  };
  systemd-initrd.module.boot.initrd.systemd.enable = true;
  newest-kernel.module = { pkgs, ... }: { boot.kernelPackages = pkgs.linuxPackages_latest; };
  zfs.module = {
    boot.supportedFilesystems = [ "zfs" ];
    networking.hostId = "01234567";
  };
  btrfs.module.fileSystems."/nix" = {
    device = "/dev/disk/by-label/nix";
    fsType = "btrfs";
  };
  time-zone.module.time.timeZone = "Europe/Berlin";
  tmpfiles.module.systemd.tmpfiles.rules = [ "d /srv/backup 0755 root root -" ];
  python.module = { pkgs, ... }: { environment.systemPackages = [ pkgs.python3 ]; };
  postgresql.module.services.postgresql.enable = true;
  apparmor.module.security.apparmor.enable = true;
  old-kernel = {
    module = { pkgs, ... }: {
      boot.kernelPackages = pkgs.linuxPackagesFor (pkgs.linux_latest.override { argsOverride.version = "5.10.1"; });
    };
    refused = [ "idmapped mounts, which need Linux 5.12" ];
  };
}
