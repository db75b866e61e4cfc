# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# A virtual machine with host.nix and two containers with container.nix, managed by the collection as its users do it:
# created, updated, sent back by a bad update, and left alone by garbage collection. `nix flake check` runs it.
{
  self,
  nixpkgs,
  system,
}:
let
  inherit (nixpkgs) lib;

  container =
    module:
    (nixpkgs.lib.nixosSystem {
      inherit system;
      modules = [
        self.nixosModules.container
        {
          inx.container.enable = true;
          documentation.enable = false;
          system.stateVersion = lib.trivial.release;
        }
        module
      ];
    }).config.system.build.toplevel;

  web =
    version:
    container {
      services.nginx = {
        enable = true;
        virtualHosts.default.locations."/".return = "200 'web ${version}'";
      };
      environment.etc."kept.nix".text = ''
        derivation {
          name = "kept";
          system = "${system}";
          builder = "/bin/sh";
          args = [ "-c" "echo kept > $out" ];
        }
      '';
    };
  systems = {
    first = web "1";
    second = web "2";
    # Its unit fails, so it is not healthy.
    bad = container {
      systemd.services.broken = {
        wantedBy = [ "multi-user.target" ];
        serviceConfig.ExecStart = "/run/current-system/sw/bin/false";
      };
    };
    db = container { services.postgresql.enable = true; };
  };

  # By text alone: what the machine's own system refers to would be rooted there.
  path = name: builtins.unsafeDiscardStringContext "${systems.${name}}";
  declared = name: {
    inx_containers_defaults.health = { };
    inx_containers = [
      {
        name = "web";
        system = path name;
        publish = [ "80:80/tcp" ];
      }
      {
        name = "db";
        system = path "db";
      }
    ];
  };
in
{
  name = "inx-fleet";

  nodes.host =
    { pkgs, ... }:
    {
      imports = [ self.nixosModules.host ];
      inx.host = {
        enable = true;
        preseed = true;
      };

      # The store has to be on a file system with idmapped mounts, which an overlay does not have.
      virtualisation = {
        useBootLoader = true;
        useEFIBoot = true;
        cores = 2;
        memorySize = 4096;
        diskSize = 16384;
        additionalPaths = lib.attrValues systems;
      };
      boot.loader.systemd-boot.enable = true;
      boot.loader.timeout = 0;

      nix.settings.substituters = lib.mkForce [ ];
      environment.systemPackages = [ pkgs.ansible ];
      environment.etc = {
        "fleet/ansible_collections/inx/fleet".source = self;
        "fleet/ansible.cfg".text = ''
          [defaults]
          collections_path = .
        '';
        "fleet/inventory.yml".text = builtins.toJSON {
          all.hosts.localhost = {
            ansible_connection = "local";
            ansible_python_interpreter = "/opt/inx-fleet/bin/python";
          };
        };
      }
      // lib.mapAttrs' (name: _: {
        name = "fleet/${name}.json";
        value.text = builtins.toJSON (declared name);
      }) (removeAttrs systems [ "db" ]);
    };

  testScript = ''
    paths = ${builtins.toJSON (lib.mapAttrs (name: _: path name) systems)}

    def play(declared):
        return f"cd /etc/fleet && ansible-playbook -i inventory.yml inx.fleet.site -e @{declared}.json 2>&1"

    def runs(name, system):
        host.succeed(f"incus exec {name} -- readlink /run/current-system | grep -Fx {paths[system]}")
        state = host.succeed(f"incus exec {name} -- /run/current-system/sw/bin/systemctl is-system-running")
        assert state.strip() == "running", state

    host.wait_for_unit("multi-user.target")
    host.wait_for_unit("incus-preseed.service")

    with subtest("two containers are created, and are healthy"):
        print(host.succeed(play("first")))
        runs("web", "first")
        runs("db", "db")
        host.wait_until_succeeds("curl --fail --silent http://127.0.0.1 | grep 'web 1'")

    with subtest("a second run changes nothing"):
        assert "changed=0" in host.succeed(play("first"))

    with subtest("an update"):
        print(host.succeed(play("second")))
        runs("web", "second")
        host.wait_until_succeeds("curl --fail --silent http://127.0.0.1 | grep 'web 2'")

    with subtest("a bad update goes back"):
        print(host.fail(play("bad")))
        runs("web", "second")
        runs("db", "db")

    with subtest("what runs, and what a container has built, survives garbage collection"):
        host.succeed("incus exec web -- /run/current-system/sw/bin/bash -lc 'cd /root && nix-build /etc/kept.nix'")
        lost = host.succeed("echo lost > /tmp/lost && nix-store --add /tmp/lost").strip()
        host.succeed("systemctl start nix-gc.service")
        host.fail(f"test -e {lost}")
        host.succeed("incus exec web -- /run/current-system/sw/bin/cat /root/result | grep kept")
        runs("web", "second")
        runs("db", "db")

    with subtest("the containers come up after a reboot"):
        host.shutdown()
        host.start()
        host.wait_for_unit("incus.service")
        host.succeed("incus start web db || true")
        host.wait_until_succeeds("curl --fail --silent http://127.0.0.1 | grep 'web 2'")
  '';
}
