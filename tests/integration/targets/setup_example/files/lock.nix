# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The flake.lock of the flake beside this, with a directory of the host in the place of each input: nix goes by it, and
# asks the network for nothing. nix eval --impure --json --file lock.nix
let
  inherit (import ./flake.nix) inputs;
  places.nixpkgs = "/srv/fixtures/small";
  node = name: input: {
    original = builtins.parseFlakeRef input.url;
    locked = {
      type = "path";
      path = places.${name};
      inherit (builtins.fetchTree { type = "path"; path = places.${name}; }) narHash;
    };
    inputs = builtins.mapAttrs (_: inner: [ inner.follows ]) (input.inputs or { });
  };
in
{
  version = 7;
  root = "root";
  nodes = builtins.mapAttrs node inputs // {
    root.inputs = builtins.mapAttrs (name: _: name) inputs;
  };
}
