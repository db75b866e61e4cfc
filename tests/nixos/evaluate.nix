# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Evaluates NixOS systems with a nixpkgs that is a directory, as a flake would, without fetching or copying it:
#   nix-instantiate --eval --strict --json evaluate.nix -A evaluated --argstr nixpkgs DIR --argstr collection DIR \
#     --argstr cases FILE --argstr names '["one", "two"]'
# The file has a JSON object with cases by name:
#   {"beside": "container", "modules": [FILE]}                   modules beside the collection's, which is enabled; or
#                                                                beside "host", or "machine" without the collection
#   {"beside": "container", "settings": FILE, "setting": NAME}   the same, for one of many in a file
#   {"flake": FILE, "system": NAME}                              nixosConfigurations.NAME of a flake.nix
#   {"flake": FILE, "output": [NAME]}                            a derivation among its outputs
{
  nixpkgs,
  collection,
  cases,
  names ? "[]",
}:
let
  inherit (builtins)
    attrNames
    deepSeq
    foldl'
    fromJSON
    functionArgs
    intersectAttrs
    listToAttrs
    mapAttrs
    readFile
    toJSON
    tryEval
    ;

  # A flake's own attributes, as nix gives them to its outputs.
  opened =
    source: inputs:
    let
      inherit (import (source + "/flake.nix")) outputs;
      self = outputs (intersectAttrs (functionArgs outputs) (inputs // { inherit self; })) // {
        outPath = source;
        inherit inputs;
        lastModifiedDate = "20240601000000";
        rev = "0000000000000000000000000000000000000000";
        shortRev = "0000000";
      };
    in
    self;
  inputs = {
    nixpkgs = opened nixpkgs { };
    inx = opened collection { inherit (inputs) nixpkgs; };
  };
  inherit (inputs.nixpkgs) lib;

  base = {
    container = {
      imports = [ (collection + "/nix/container.nix") ];
      inx.container.enable = true;
    };
    host = {
      imports = [
        base.machine
        (collection + "/nix/host.nix")
      ];
      inx.host.enable = true;
    };
    # What every machine says of itself.
    machine = {
      fileSystems."/" = lib.mkDefault {
        device = "/dev/disk/by-label/nixos";
        fsType = "ext4";
      };
      boot.loader.grub.device = lib.mkDefault "/dev/vda";
      # The manual of all options takes longer than the rest. One of the settings has it.
      documentation.nixos.enable = lib.mkDefault false;
    };
  };

  systemOf =
    case:
    lib.nixosSystem {
      modules = [
        base.${case.beside}
        {
          nixpkgs.hostPlatform = lib.mkDefault "x86_64-linux";
          system.stateVersion = lib.mkDefault lib.trivial.release;
        }
      ]
      ++ case.modules;
    };

  flakeOf = case: opened (dirOf case.flake) inputs;

  # A system's warnings and failed assertions, and its derivation where nothing failed.
  toldOf =
    system:
    let
      failed = lib.filter (it: !it.assertion) system.config.assertions;
    in
    {
      inherit (system.config) warnings;
      failed = map (it: it.message) failed;
      drvPath = if failed == [ ] then system.config.system.build.toplevel.drvPath else "";
    };

  told =
    case:
    if case ? setting then
      toldOf (systemOf (case // { modules = [ (import case.settings).${case.setting}.module ]; }))
      // removeAttrs (import case.settings).${case.setting} [ "module" ]
    else if case ? modules then
      toldOf (systemOf case)
    else if case ? system then
      toldOf (flakeOf case).nixosConfigurations.${case.system}
    else
      {
        warnings = [ ];
        failed = [ ];
        inherit (foldl' (set: attribute: set.${attribute}) (flakeOf case) case.output) drvPath;
      };
in
{
  # What there is to evaluate in files with settings and in flakes.
  listed = mapAttrs (
    _: case: attrNames (if case ? settings then import case.settings else (flakeOf case).nixosConfigurations)
  ) (fromJSON (readFile cases));

  # Null where nix throws: it keeps the error to itself, until that case is evaluated alone.
  evaluated = listToAttrs (
    map (
      name:
      let
        value = told (fromJSON (readFile cases)).${name};
        tried = tryEval (deepSeq value value);
      in
      {
        inherit name;
        value = if names == toJSON [ name ] then value else if tried.success then tried.value else null;
      }
    ) (fromJSON names)
  );
}
