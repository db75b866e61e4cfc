# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# host.nix evaluated against a stub of nixpkgs: just enough of lib and pkgs for the words that it uses. This shows that
# it parses, refers to nothing that is not there, and says what it should; not that NixOS accepts it.
let
  lib = {
    mkEnableOption = description: { inherit description; default = false; };
    mkOption = option: option;
    mkIf = condition: content: if condition then content else { };
    mkMerge = builtins.foldl' merge { };
    types = { bool = "bool"; ints.positive = "positive"; };
  };
  merge = left: right: left // builtins.mapAttrs
    (name: value: if left ? ${name} && builtins.isAttrs value && builtins.isAttrs left.${name} then merge left.${name} value else value)
    right;
  pkgs = {
    python3.withPackages = choose: builtins.seq (choose { pylxd = 1; jmespath = 1; }) "/python";
    linkFarm = name: entries: builtins.deepSeq (map (entry: builtins.readDir entry.path) entries) "/${name}";
    writeTextFile = file: "${builtins.toFile file.name (builtins.unsafeDiscardStringContext file.text)}";
  };
  module = import ./nix/host.nix { inherit lib pkgs; config.inx.host = { enable = true; gcroots = { enable = true; maxRoots = 7; }; }; };
in
module.config // { options = builtins.attrNames module.options.inx.host; }
