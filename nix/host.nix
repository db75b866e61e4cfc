# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# A NixOS host for the containers of inx.fleet: Incus, flakes, what the modules need, and the roots for what containers
# build. inx.host.preseed sets up a new Incus; one that has its pool and network keeps them, and the role host prints
# what is missing there.
#   imports = [ .../nix/host.nix ];
#   inx.host.enable = true;
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.inx.host;
  kernel = config.boot.kernelPackages.kernel.version;
  python = pkgs.python3.withPackages (packages: [
    packages.pylxd
    packages.jmespath
  ]);

  # The modules' own files are the command.
  library = pkgs.linkFarm "inx-gcroots-library" [
    {
      name = "inx_fleet";
      path = ../plugins/module_utils;
    }
  ];
  gcroots = pkgs.writeTextFile {
    name = "inx-gcroots";
    executable = true;
    destination = "/bin/inx-gcroots";
    text = ''
      #!${python}/bin/python
      import sys

      sys.path.insert(0, "${library}")

      from inx_fleet.gcroots.command import main

      sys.exit(main())
    '';
  };
  command = "${gcroots}/bin/inx-gcroots";
  maxRoots = toString cfg.gcroots.maxRoots;

  aware = {
    # The "+" is for the line below.
    ExecStartPre = "+${command} sync --max-roots ${maxRoots}";
    # nix-collect-garbage --delete-old would work in there as root, at what a container with self_update has laid.
    ReadOnlyPaths = [ "-/nix/var/nix/profiles/inx-container" ];
  };
in
{
  imports = [ ./preseed.nix ];

  options.inx.host = {
    enable = lib.mkEnableOption "containers of inx.fleet on this host";

    gcroots = {
      enable = lib.mkOption {
        type = lib.types.bool;
        default = true;
        description = "Whether to protect what containers build from the host's garbage collection.";
      };

      maxRoots = lib.mkOption {
        type = lib.types.ints.positive;
        default = 10000;
        description = "Maximum number of GC roots of a container.";
      };
    };
  };

  config = lib.mkIf cfg.enable (
    lib.mkMerge [
      {
        virtualisation.incus.enable = true;
        # Incus on NixOS wants it, and says so where a configuration has set it to false.
        networking.nftables.enable = lib.mkOverride 900 true;
        # As text, which goes with whatever form a configuration's own experimental-features have.
        nix.extraOptions = ''
          extra-experimental-features = nix-command flakes
        '';

        assertions = [
          {
            assertion = lib.versionAtLeast kernel "5.12";
            message = "Sharing the store needs idmapped mounts, which need Linux 5.12 or newer. This is ${kernel}.";
          }
        ];

        systemd.tmpfiles.rules = [
          # Who may use Incus is root on this host anyway, so the group that may is the one that records generations.
          # Closed to others: what a container with self_update leaves in its profile is root's, a setuid program too.
          "d /nix/var/nix/profiles/inx-container 2770 root incus-admin -"
          # Where the modules of the collection look for pylxd.
          "L+ /opt/inx-fleet - - - - ${python}"
        ];
      }

      {
        # As inx_container installs it on Debian. It does nothing on a host whose containers have no secrets.
        systemd.services.inx-secrets = {
          description = "Secrets of containers";
          documentation = [ "man:systemd-creds(1)" ];
          before = [
            "incus.service"
            "incus-startup.service"
          ];
          wantedBy = [
            "incus.service"
            "multi-user.target"
          ];
          unitConfig.RequiresMountsFor = "/var/lib/inx-fleet/secrets";
          path = [
            pkgs.util-linux
            config.systemd.package
          ];
          serviceConfig = {
            Type = "oneshot";
            RemainAfterExit = true;
            ExecStart = lib.concatStringsSep " " [
              "${pkgs.python3}/bin/python"
              "${../plugins/module_utils/container/restore_secrets.py}"
              "/run/inx-fleet/secrets"
              "/var/lib/inx-fleet/secrets"
            ];
          };
        };
      }

      (lib.mkIf cfg.gcroots.enable {
        environment.systemPackages = [ gcroots ];

        systemd.paths.inx-gcroots = {
          description = "Links to what containers build";
          wantedBy = [ "paths.target" ];
          pathConfig = {
            PathChanged = "/nix/var/nix/gcroots/auto";
            MakeDirectory = true;
          };
        };

        systemd.services.inx-gcroots = {
          description = "Roots for what containers build";
          # It stays once it was started: a path unit does not see what happens while its service runs.
          after = [ "incus.service" ];
          startLimitIntervalSec = 0;
          serviceConfig = {
            ExecStart = "${command} watch --max-roots ${maxRoots}";
            Restart = "on-failure";
            RestartSec = 2;
            MemoryMax = "1G";
            NoNewPrivileges = true;
            PrivateTmp = true;
            ProtectSystem = "strict";
            ReadWritePaths = [ "/nix/var/nix" ];
            RestrictAddressFamilies = [ "AF_UNIX" ];
            CapabilityBoundingSet = [
              "CAP_SYS_PTRACE"
              "CAP_DAC_READ_SEARCH"
              "CAP_DAC_OVERRIDE"
              "CAP_KILL"
            ];
          };
        };
      })

      # Whatever collects on this host looks at what containers build first.
      (lib.mkIf (cfg.gcroots.enable && config.nix.enable) { systemd.services.nix-gc.serviceConfig = aware; })
      (lib.mkIf (cfg.gcroots.enable && config.programs.nh.clean.enable) {
        systemd.services.nh-clean.serviceConfig = aware;
      })
    ]
  );
}
