# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# What people have beside nix/container.nix, often in a module that all their machines share. Without "warns" and
# "refused" it has to evaluate without a word. These are regular expressions, one for each warning or failed assertion.
import ./beside_both.nix
// {
  # Networks
  static-addresses.module = {
    inx.container.addresses = [
      "192.168.1.20/24"
      "fd00::20/64"
    ];
    inx.container.gateway = [ "192.168.1.1" ];
    networking.nameservers = [ "192.168.1.1" ];
  };
  scripted-address.module = {
    networking.useNetworkd = false;
    networking.interfaces.eth0.ipv4.addresses = [
      {
        address = "192.168.1.20";
        prefixLength = 24;
      }
    ];
    networking.defaultGateway = "192.168.1.1";
  };
  networkd.module = {
    networking.useNetworkd = true;
    networking.useDHCP = false;
    systemd.network.networks."10-eth0" = {
      matchConfig.Name = "eth0";
      DHCP = "yes";
    };
  };
  networkd-of-a-second-nic.module = {
    systemd.network.enable = true;
    systemd.network.networks."60-eth1" = {
      matchConfig.Name = "eth1";
      address = [ "10.1.0.2/24" ];
    };
  };
  dhcp-everywhere.module.networking.useDHCP = true;
  dhcp-of-a-generated-hardware-configuration.module =
    { lib, ... }:
    {
      networking.useDHCP = lib.mkDefault true;
      nixpkgs.hostPlatform = lib.mkDefault "x86_64-linux";
    };
  resolved.module.services.resolved.enable = true;
  no-resolved.module = {
    services.resolved.enable = false;
    networking.nameservers = [ "192.168.1.1" ];
  };
  iptables.module.networking.nftables.enable = false;
  host-name.module = {
    networking.hostName = "web";
    networking.domain = "example.org";
  };
  wireguard.module.networking.wireguard.interfaces.wg0 = {
    ips = [ "10.100.0.2/24" ];
    privateKeyFile = "/var/lib/wireguard/key";
  };

  # Nix
  nix-settings-of-a-fleet.module = {
    nix.settings = {
      auto-optimise-store = true;
      cores = 4;
      max-jobs = "auto";
      substituters = [ "https://cache.example.org" ];
      trusted-public-keys = [ "cache.example.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=" ];
      trusted-users = [ "@wheel" ];
      store = "daemon";
    };
    nix.nrBuildUsers = 64;
    nix.channel.enable = false;
  };
  daemon-by-path.module.nix.settings.store = "unix:///nix/var/nix/daemon-socket/socket";
  auto-upgrade.module.system.autoUpgrade = {
    enable = true;
    flake = "github:example/systems";
  };
  auto-upgrade-from-within.module = {
    inx.container.selfUpdate = true;
    system.autoUpgrade = {
      enable = true;
      flake = "github:example/systems";
    };
  };
  channels.module.nix.channel.enable = true;
  registry.module = {
    nix.registry.example.to = {
      type = "github";
      owner = "example";
      repo = "systems";
    };
    nix.nixPath = [ "nixpkgs=flake:nixpkgs" ];
  };
  direnv.module.programs.direnv.enable = true;

  # Users
  sshd.module = {
    services.openssh = {
      enable = true;
      settings.PasswordAuthentication = false;
      startWhenNeeded = false;
    };
    users.users.root.openssh.authorizedKeys.keys = [ "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIO example" ];
  };
  sudo.module = {
    security.sudo.wheelNeedsPassword = false;
    security.sudo.extraConfig = "Defaults lecture = never";
  };
  doas.module = {
    security.sudo.enable = false;
    security.doas.enable = true;
  };
  users.module = {
    users.mutableUsers = false;
    users.users.alice = {
      isNormalUser = true;
      extraGroups = [ "wheel" ];
      hashedPassword = "!";
      openssh.authorizedKeys.keys = [ "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIO example" ];
    };
  };
  zsh.module = {
    programs.zsh.enable = true;
    users.defaultUserShell = "/run/current-system/sw/bin/zsh";
  };

  # Services
  nginx.module = {
    services.nginx = {
      enable = true;
      virtualHosts.default.default = true;
    };
    networking.firewall.allowedTCPPorts = [ 80 ];
  };
  nginx-with-acme.module = {
    inx.container.nesting = true;
    security.acme = {
      acceptTerms = true;
      defaults.email = "admin@example.org";
    };
    services.nginx = {
      enable = true;
      virtualHosts."www.example.org" = {
        enableACME = true;
        forceSSL = true;
      };
    };
  };
  caddy.module.services.caddy.enable = true;
  postgresql.module.services.postgresql = {
    enable = true;
    ensureDatabases = [ "shop" ];
  };
  mariadb.module = { pkgs, ... }: {
    services.mysql = {
      enable = true;
      package = pkgs.mariadb;
    };
  };
  redis.module.services.redis.servers.cache.enable = true;
  docker.module = {
    inx.container.nesting = true;
    virtualisation.docker.enable = true;
  };
  podman.module = {
    inx.container.nesting = true;
    virtualisation.podman.enable = true;
    virtualisation.oci-containers = {
      backend = "podman";
      containers.whoami.image = "docker.io/traefik/whoami";
    };
  };
  prometheus.module.services.prometheus = {
    enable = true;
    exporters.node.enable = true;
  };
  fail2ban.module.services.fail2ban.enable = true;
  cron-and-timers.module = {
    services.cron.enable = true;
    systemd.timers.report = {
      wantedBy = [ "timers.target" ];
      timerConfig.OnCalendar = "daily";
    };
    systemd.services.report.script = "true";
  };

  # The system
  locale.module = {
    i18n.defaultLocale = "de_DE.UTF-8";
    console.keyMap = "de";
  };
  time-zone-of-its-own.module = {
    inx.container.localtime = false;
    time.timeZone = "Europe/Berlin";
  };
  minimal.module = { modulesPath, ... }: { imports = [ (modulesPath + "/profiles/minimal.nix") ]; };
  hardened.module = { modulesPath, ... }: { imports = [ (modulesPath + "/profiles/hardened.nix") ]; };
  sysctl.module.boot.kernel.sysctl = {
    "net.core.somaxconn" = 4096;
    "net.ipv4.ping_group_range" = "0 1000";
  };
  boot-of-a-machine.module = {
    boot.loader.systemd-boot.enable = true;
    boot.loader.efi.canTouchEfiVariables = true;
    boot.initrd.systemd.enable = true;
    boot.kernelParams = [ "quiet" ];
    boot.kernelModules = [ "kvm-intel" ];
    boot.tmp.cleanOnBoot = true;
    hardware.enableRedistributableFirmware = true;
  };
  mounts-without-devices.module.fileSystems = {
    "/scratch" = {
      device = "tmpfs";
      fsType = "tmpfs";
    };
    "/srv/www" = {
      device = "/var/lib/www";
      fsType = "none";
      options = [ "bind" ];
    };
  };
  credentials.module = {
    inx.container.nesting = true;
    systemd.services.secretive = {
      script = "true";
      serviceConfig.LoadCredential = "key:/var/lib/key";
    };
  };
  secrets.module = {
    inx.container.nesting = true;
    inx.container.secrets = [ "db-password" ];
    systemd.services.shop = {
      script = "true";
      serviceConfig.LoadCredential = [ "db-password" ];
    };
  };
  journald.module.services.journald.extraConfig = "SystemMaxUse=200M";

  # What would be ignored, or could not boot, is told
  time-zone = {
    module.time.timeZone = "Europe/Berlin";
    warns = [ "time.timeZone is ignored.*localtime: false" ];
  };
  credentials-without-nesting = {
    module.systemd.services.secretive = {
      script = "true";
      serviceConfig.LoadCredential = "key:/var/lib/key";
    };
    warns = [ "secretive: LoadCredential= is emptied.*security.nesting: true" ];
  };
  file-systems = {
    module.fileSystems."/data" = {
      device = "/dev/disk/by-label/data";
      fsType = "ext4";
    };
    warns = [ "fileSystems of devices are ignored in a container: /data" ];
  };
  swap = {
    module.swapDevices = [ { device = "/var/swap"; } ];
    warns = [ "swapDevices and zramSwap are ignored" ];
  };
  gateway-alone = {
    module.inx.container.gateway = [ "192.168.1.1" ];
    refused = [ "inx.container.gateway goes with inx.container.addresses" ];
  };
  addresses-without-networkd = {
    module = {
      networking.useNetworkd = false;
      inx.container.addresses = [ "192.168.1.20/24" ];
    };
    refused = [ "Set networking.useNetworkd to true" ];
  };
  store-of-its-own = {
    module.nix.settings.store = "local";
    refused = [ "Leave nix.settings.store out" ];
  };
  etc-overlay = {
    module = { lib, ... }: {
      system.etc.overlay.enable = true;
    };
    refused = [
      "system.etc.overlay.enable mounts /etc"
      ".*"
    ];
  };
}
