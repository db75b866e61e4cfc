# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# A stub in place of nixpkgs, which no lab host can reach: as much of lib and of the packages as the project's own Nix
# code has words for. What is evaluated with it parses, refers to nothing that is not there, and says what it should.
# That NixOS accepts it, this does not show.
{
  outputs =
    { self }:
    let
      merge =
        left: right:
        left
        // builtins.mapAttrs (
          name: value:
          if builtins.isAttrs value && builtins.isAttrs (left.${name} or null) then
            merge left.${name} value
          else if builtins.isList value && builtins.isList (left.${name} or null) then
            left.${name} ++ value
          else
            value
        ) right;
    in
    {
      lib = {
        genAttrs =
          names: value:
          builtins.listToAttrs (
            map (name: {
              inherit name;
              value = value name;
            }) names
          );
        attrNames = builtins.attrNames;
        concatStringsSep = builtins.concatStringsSep;
        elem = builtins.elem;
        filterAttrs =
          keep: set:
          removeAttrs set (builtins.filter (name: !keep name set.${name}) (builtins.attrNames set));
        hasPrefix = prefix: text: builtins.substring 0 (builtins.stringLength prefix) text == prefix;
        optional = condition: value: if condition then [ value ] else [ ];
        trivial.release = "25.11";
        versionOlder = version: than: builtins.compareVersions version than < 0;
        mkOverride = _priority: value: value;
        mkDefault = value: value;
        mkForce = value: value;
        mkEnableOption = description: {
          inherit description;
          default = false;
        };
        mkOption = option: option;
        mkIf = condition: content: if condition then content else { };
        mkMerge = builtins.foldl' merge { };
        types = {
          bool = "bool";
          ints.positive = "positive";
          listOf = type: "list of ${type}";
          str = "str";
          strMatching = pattern: "text of ${pattern}";
        };
        versionAtLeast = version: least: builtins.compareVersions version least >= 0;
      };

      legacyPackages = self.lib.genAttrs [ "x86_64-linux" "aarch64-linux" ] (system: {
        distrobuilder.generator = "/distrobuilder-generator";
        git = "git";
        gnumake = "gnumake";
        linkFarm = name: entries: builtins.deepSeq (map (entry: builtins.readDir entry.path) entries) "/${name}";
        mkShell = shell: shell;
        nixfmt = "nixfmt";
        nixfmt-tree = "nixfmt-tree for ${system}";
        python3 = {
          outPath = "python3";
          withPackages = choose: builtins.deepSeq (choose { pylxd = 1; jmespath = 1; }) "/python";
        };
        runtimeShell = "/bin/sh";
        shellcheck = "shellcheck";
        util-linux = "util-linux";
        writeTextFile = file: "${builtins.toFile file.name (builtins.unsafeDiscardStringContext file.text)}";
      });
    };
}
