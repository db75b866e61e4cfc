# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# A NixOS container of inx.fleet: it boots from its host's Nix store, and builds through its host's Nix daemon.
#   imports = [ .../nix/container.nix ];
#   inx.container.enable = true;
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.inx.container;
  isStatic = cfg.addresses != [ ];

  # Above what nixpkgs and a generated hardware-configuration.nix set by mkDefault, below what a configuration sets.
  preferred = lib.mkOverride 900;

  # By services instead of the activation.
  makesUsersLate =
    (config.services.userborn.enable or false) || (config.systemd.sysusers.enable or false);
  # Wait until each secret belongs to its owner, whose id may be new in this system. A run of inx_container on the host
  # does that as soon as it sees the users. If there is none, this ends by itself. The host writes lines of NAME USER
  # GROUP. It is in here because people copy this file alone.
  waiting = builtins.toFile "await-owners.sh" ''
    owners=/inx/secrets/.owners

    # Print the id of a name in a passwd(5) or group(5), nothing if it is not there.
    id_of() {
      case $2 in
        *[!0-9]*) ;;
        *)
          echo "$2"
          return
          ;;
      esac
      while IFS=: read -r name _ id _; do
        if [ "$name" = "$2" ]; then
          echo "$id"
          return
        fi
      done < "$1"
    }

    # Print the secrets that do not belong to their owners yet, except for those whose owners this system does not have.
    late_secrets() {
      while read -r secret user group; do
        uid=$(id_of /etc/passwd "$user")
        gid=$(id_of /etc/group "$group")
        if [ -n "$uid" ] && [ -n "$gid" ] && [ -e "/inx/secrets/$secret" ] \
          && [ "$(stat -c %u:%g "/inx/secrets/$secret")" != "$uid:$gid" ]; then
          echo "$secret"
        fi
      done < "$owners"
    }

    [ -r "$owners" ] || exit 0
    tries=0
    while late=$(late_secrets) && [ -n "$late" ]; do
      if [ "$tries" = 400 ]; then
        echo "Secrets that do not belong to their owners until inx_container runs:" $late >&2
        exit 0
      fi
      tries=$((tries + 1))
      sleep 0.05
    done
  '';
  awaitOwners = "${pkgs.runtimeShell} ${waiting}";

  # systemd leaves entries of fstab for devices out in a container.
  devices = lib.attrNames (lib.filterAttrs (_: fs: lib.hasPrefix "/dev/" (toString fs.device)) config.fileSystems);
  withCredentials = lib.attrNames (
    lib.filterAttrs (
      _: service:
      service.enable && (service.serviceConfig ? LoadCredential || service.serviceConfig ? LoadCredentialEncrypted)
    ) config.systemd.services
  );
in
{
  options.inx.container = {
    enable = lib.mkEnableOption "settings for a container of inx.fleet";

    addresses = lib.mkOption {
      type = lib.types.listOf lib.types.str;
      default = [ ];
      example = [ "192.168.1.20/24" ];
      description = ''
        Addresses of eth0 with their prefix lengths, for a network without a DHCP server, such as a macvlan on a LAN.
        Without any, eth0 gets its IPv4 address from DHCP, such as the one in `ipv4.address` of its device in Incus.
      '';
    };

    gateway = lib.mkOption {
      type = lib.types.listOf lib.types.str;
      default = [ ];
      example = [ "192.168.1.1" ];
      description = ''
        Default gateways for these addresses, one for IPv4 and one for IPv6. Set name servers in
        `networking.nameservers`.
      '';
    };

    nesting = lib.mkOption {
      type = lib.types.bool;
      default = false;
      description = ''
        Whether the container is declared with `config: {security.nesting: true}`. Only then can services get
        credentials (`LoadCredential=`), and containers run inside.
      '';
    };

    localtime = lib.mkOption {
      type = lib.types.bool;
      default = true;
      description = ''
        Whether the container is declared with `localtime: true`, the default: the host's `/etc/localtime` is mounted in
        it, and `time.timeZone` is ignored.
      '';
    };

    secrets = lib.mkOption {
      type = lib.types.listOf (lib.types.strMatching "[A-Za-z0-9_][A-Za-z0-9_.-]*");
      default = [ ];
      example = [ "db-password" ];
      description = ''
        Names of secrets that the container is declared with (`secrets`). A run that would bring this system without
        one of them fails before it changes anything. Each is the file `/inx/secrets/NAME`, and with `nesting` the
        credential of its name for services with `LoadCredential=NAME` or `ImportCredential=NAME`. No service starts
        before the secrets belong to their owners.
      '';
    };

    selfUpdate = lib.mkOption {
      type = lib.types.bool;
      default = false;
      description = ''
        Whether the container is declared with `self_update: true`. Only then can `system.autoUpgrade` work.
      '';
    };
  };

  config = lib.mkIf cfg.enable (
    lib.mkMerge [
      {
        # No kernel, no initial file system, no boot loader: Incus starts the system's init.
        boot.isContainer = true;

        # nixpkgs allows a group id that is not mapped in an unprivileged container, where systemd-sysctl.service would
        # fail. An isolated container has 65536 ids.
        boot.kernel.sysctl."net.ipv4.ping_group_range" = preferred "0 65535";

        # The container is called as its instance is, unless the system says otherwise.
        networking.hostName = lib.mkDefault "";

        # nftables needs what the host has loaded for Incus. Modules for iptables cannot be loaded from here.
        networking.nftables.enable = lib.mkDefault true;

        # By networkd, unless the configuration has another manager of networks.
        networking.useDHCP = preferred false;
        networking.useNetworkd = preferred (!config.networking.networkmanager.enable);
        networking.useHostResolvConf = preferred false;

        # networkd waits for udev's word on eth0, since Incus leaves /sys writable, and NixOS leaves this unit out of
        # containers.
        systemd.additionalUpstreamSystemUnits = [ "systemd-udev-trigger.service" ];
        # It has an error to report for each device of the host, hundreds at each boot.
        systemd.services.systemd-udev-trigger = {
          overrideStrategy = "asDropin";
          serviceConfig.LogLevelMax = "crit";
        };
        # What an unprivileged container cannot do for its services, such as to mount their credentials, is taken out of
        # them at every boot, as in the images of Incus. With security.nesting they keep all of it.
        systemd.packages = [ pkgs.distrobuilder.generator ];

        assertions = [
          {
            assertion = isStatic || cfg.gateway == [ ];
            message = "inx.container.gateway goes with inx.container.addresses: DHCP brings its own.";
          }
          {
            assertion = !isStatic || config.networking.useNetworkd;
            message = ''
              inx.container.addresses are set by systemd-networkd.
              Set networking.useNetworkd to true, or leave them out.
            '';
          }
          {
            assertion = !(config.system.etc.overlay.enable or false);
            message = ''
              system.etc.overlay.enable mounts /etc in the initial file system, which
              a container does not have. Set it to false.
            '';
          }
          {
            assertion = !(config.system.nixos-init.enable or false);
            message = ''
              system.nixos-init.enable starts from the initial file system, which
              a container does not have. Set it to false.
            '';
          }
        ];
        warnings =
          lib.optional (cfg.localtime && config.time.timeZone != null) ''
            time.timeZone is ignored: the host's /etc/localtime is mounted over it. Declare the container with
            'localtime: false' and set inx.container.localtime to false, or leave time.timeZone out.
          ''
          ++ lib.optional (!cfg.nesting && withCredentials != [ ]) ''
            ${lib.concatStringsSep ", " withCredentials}: LoadCredential= is emptied in a container without nesting.
            Declare the container with 'config: {security.nesting: true}' and set inx.container.nesting to true.
          ''
          ++ lib.optional (devices != [ ]) ''
            fileSystems of devices are ignored in a container: ${lib.concatStringsSep ", " devices}.
            Declare them for the container ('persist', 'bind_mounts' or 'devices'), and leave them out here.
          ''
          ++ lib.optional (config.swapDevices != [ ] || config.zramSwap.enable) ''
            Swap is the host's: swapDevices and zramSwap are ignored in a container. Leave them out.
          '';
      }

      (lib.mkIf (cfg.secrets != [ ]) {
        # For the run that brings the system.
        environment.etc."inx/secrets.json".text = builtins.toJSON cfg.secrets;
        # systemd looks for credentials by their names here.
        environment.etc."credstore".source = "/inx/secrets";
      })

      # No service is to read a secret before the host knows the id of its owner: at a boot, and in a switch.
      (lib.mkIf (cfg.secrets != [ ] && !makesUsersLate) {
        system.activationScripts.inxSecrets = {
          deps = [ "users" ];
          text = awaitOwners;
        };
      })
      (lib.mkIf (cfg.secrets != [ ] && makesUsersLate) {
        systemd.services.inx-secrets-owners = {
          description = "Owners of secrets";
          wantedBy = [ "sysinit.target" ];
          requiredBy = [ "sysinit-reactivation.target" ];
          before = [
            "sysinit.target"
            "sysinit-reactivation.target"
            "shutdown.target"
          ];
          after = [
            "systemd-sysusers.service"
            "userborn.service"
          ];
          conflicts = [ "shutdown.target" ];
          unitConfig.DefaultDependencies = false;
          # Not for good: each switch is to start it.
          serviceConfig.Type = "oneshot";
          script = awaitOwners;
        };
      })

      # From nixpkgs 26.05 on, a system without an initial file system ignores this. Before, its init would be systemd
      # itself, and nothing would activate the system.
      (lib.mkIf (lib.versionOlder lib.trivial.release "26.05") {
        boot.initrd.systemd.enable = lib.mkForce false;
      })

      (lib.mkIf config.networking.useNetworkd {
        systemd.network.networks."50-eth0" = {
          matchConfig.Name = "eth0";
          linkConfig.RequiredForOnline = "routable";
          networkConfig = {
            DHCP = if isStatic then "no" else "ipv4";
            IPv6AcceptRA = true;
          };
          address = cfg.addresses;
          gateway = cfg.gateway;
        };
      })

      # It would fail: the profile is read-only.
      (lib.mkIf (!cfg.selfUpdate) {
        system.autoUpgrade.enable = lib.mkForce false;
      })

      (lib.mkIf config.nix.enable {
        # The store is the host's, and so is the daemon. The setting holds for every client however it was started,
        # while sudo, ssh and services each drop NIX_REMOTE in their own way. The variable is for those that ask for it.
        nix.settings.store = preferred "daemon";
        environment.variables.NIX_REMOTE = preferred "daemon";
        systemd.globalEnvironment.NIX_REMOTE = "daemon";
        security.sudo.extraConfig = ''
          Defaults env_keep += "NIX_REMOTE"
        '';
        security.sudo-rs.extraConfig = ''
          Defaults env_keep += "NIX_REMOTE"
        '';

        # No daemon of its own, nor users that it would build as.
        systemd.sockets.nix-daemon.enable = false;
        systemd.services.nix-daemon.enable = false;
        nix.nrBuildUsers = preferred 0;

        # To collect and to optimise is up to the host, also where all machines of a fleet share a module that does so.
        nix.gc.automatic = lib.mkForce false;
        nix.optimise.automatic = lib.mkForce false;
        programs.nh.clean.enable = lib.mkForce false;

        nix.channel.enable = lib.mkDefault false;
        # As text, which goes with whatever form a configuration's own experimental-features have.
        nix.extraOptions = ''
          extra-experimental-features = nix-command flakes
        '';

        assertions = [
          {
            assertion = config.nix.settings.store == "daemon" || lib.hasPrefix "unix://" config.nix.settings.store;
            message = ''
              A container builds through its host's daemon. Leave nix.settings.store out, or set it to "daemon".
            '';
          }
        ];
      })
    ]
  );
}
