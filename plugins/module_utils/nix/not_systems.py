# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Describe an attribute that is not a NixOS system, for errors. Nix itself only says that a derivation is missing."""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from ..errors import FleetError
from ..text import listed
from .advice import CODE
from .flakes import without_links
from .process import NixCommand, NixError
from .sources import Declared, File, Flake, NixOptions, StorePath

# One that is evaluated.
Failed: TypeAlias = "tuple[Flake | File, NixOptions]"

# A file that is a function is called without arguments, which a NixOS module does not take.
_OF_A_FUNCTION = "called without required argument"
# Nix: src/libcmd/installables.cc, src/libexpr/attr-path.cc and eval-cache.cc.
_OF_AN_ATTRIBUTE = re.compile(
    r"does not provide attribute|is not an attribute set|to be a derivation or path but found|"
    r"in selection path|selected by the selection path|entries in its context|does not evaluate to a derivation|"
    r"cached failure of attribute"
)
_SHOWN = 8
# The names of an attribute are tried alone, so that one that throws leaves the others their answer.
_LOOK = """
root: let
  inherit (builtins) attrNames concatMap deepSeq elemAt filter fromJSON head isAttrs isFunction length map tail tryEval
    typeOf;
  isSystem = value: isAttrs value && value ? config.system.build.toplevel;
  kind = value:
    if isFunction value then { is = "function"; }
    else if !isAttrs value then { is = typeOf value; }
    else if value.type or "" == "derivation" then { is = "package"; name = value.name or "without a name"; }
    else if value.type or "" == "app" then { is = "app"; }
    else if isSystem value then { is = "system"; toplevel = kind value.config.system.build.toplevel; }
    else if value ? activationPackage then { is = "home"; }
    else if value ? config then { is = "configuration"; }
    else let systems = filter (name: let one = tryEval (isSystem value.${name}); in one.success && one.value)
      (attrNames value); in
      if systems != [ ] then { is = "systems"; names = systems; } else { is = "set"; names = attrNames value; };
  at = value: path:
    if path == [ ] then kind value
    else if isAttrs value && value ? ${head path} then at value.${head path} (tail path)
    else {
      is = "missing"; name = head path; of = typeOf value; names = if isAttrs value then attrNames value else [ ];
    };
  among = name: output: value:
    if !isAttrs value then [ ]
    else if value ? ${name} then [ "${output}.${name}" ]
    else concatMap (system: if isAttrs value.${system} && value.${system} ? ${name} then
      [ "${output}.${system}.${name}" ] else [ ]) (attrNames value);
  elsewhere = name: concatMap (output: if root ? ${output} then among name output root.${output} else [ ])
    [ "packages" "apps" "devShells" "darwinConfigurations" "homeConfigurations" "nixosModules" ];
  told = path: at root path // {
    elsewhere = if length path == 2 && head path == "nixosConfigurations" then elsewhere (elemAt path 1) else [ ];
  };
in
map (path: let tried = tryEval (let it = told path; in deepSeq it it); in if tried.success then tried.value else null)
  (fromJSON PATHS)
"""
_WORDS = {
    "function": "a function, such as a NixOS module",
    "app": "an app",
    "home": "a configuration of home-manager",
    "configuration": "a configuration without config.system.build.toplevel",
    "int": "an integer",
    "bool": "a boolean",
    "null": "null",
}


def explained(nix: NixCommand, failed: Mapping[Declared, FleetError]) -> dict[Declared, FleetError]:
    """Return better errors for those of ``failed`` that are about what an attribute is. It asks once for a source."""
    by_place: dict[tuple[str, NixOptions, bool], list[Failed]] = {}
    for (source, options), error in failed.items():
        if not isinstance(source, StorePath) and _is_of_an_attribute(error, source):
            place = source.path if isinstance(source, File) else without_links(source.reference)
            by_place.setdefault((place, options, isinstance(source, File)), []).append((source, options))
    found: dict[Declared, FleetError] = {}
    for (place, options, is_file), entries in by_place.items():
        paths = [_path(source) for source, _options in entries]
        try:
            answer = nix.run(look_arguments(place, is_file, paths, options), "It cannot be looked at", options)
            kinds = json.loads(answer.text)
        except (FleetError, ValueError):
            # Then nix's own words have to do.
            continue
        for entry, kind in zip(entries, kinds, strict=True):
            better = _thrown(nix, entry) if kind is None else error_of(entry[0], kind)
            if better is not None:
                found[entry] = better
    return found


def _thrown(nix: NixCommand, entry: Failed) -> FleetError | None:
    """Return the error that an attribute throws. Of one that failed before, the evaluation cache knows no more."""
    source, options = entry
    place = [] if isinstance(source, Flake) else ["--file", source.path]
    arguments = ["eval", *_how(options), "--option", "eval-cache", "false", *place, "--", source.installable]
    try:
        nix.run(arguments, f"{source.installable} does not evaluate", options, CODE)
    except FleetError as error:
        return error
    return None


def _is_of_an_attribute(error: FleetError, source: Flake | File) -> bool:
    return isinstance(error, NixError) and (
        _OF_AN_ATTRIBUTE.search(error.said) is not None or (isinstance(source, File) and _OF_A_FUNCTION in error.said)
    )


def _path(source: Flake | File) -> list[str]:
    if isinstance(source, Flake):
        return ["nixosConfigurations", source.attribute]
    return [part.strip('"') for part in source.attribute.split(".")]


def look_arguments(place: str, is_file: bool, paths: Sequence[Sequence[str]], options: NixOptions) -> list[str]:
    """Return the arguments that make nix tell what is at these attribute paths."""
    look = _LOOK.replace("PATHS", _nix_text(json.dumps(paths)))
    where = ["--file", place, "--", "."] if is_file else ["--", f"{place}#."]
    return ["eval", "--json", *_how(options), "--apply", look, *where]


def _how(options: NixOptions) -> list[str]:
    arguments = ["--no-write-lock-file"]
    if options.accept_flake_config:
        arguments.append("--accept-flake-config")
    for name, reference in options.override_inputs:
        arguments += ["--override-input", name, reference]
    if options.impure:
        arguments.append("--impure")
    return arguments


def _nix_text(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("${", "\\${")
    return f'"{escaped}"'


def error_of(source: Flake | File, kind: Mapping[str, Any]) -> FleetError | None:
    """Return the error about an attribute of this kind; None for what is a system after all."""
    host = platform.node()
    if isinstance(source, File):
        return _error_in_file(source, kind, host)
    attribute, place = f'nixosConfigurations."{source.attribute}"', f"{source.reference} on {host}"
    make = f"Write {attribute} = nixpkgs.lib.nixosSystem {{ modules = [ ... ]; }}; there."
    if kind["is"] == "missing":
        return _missing(source, kind, place, make)
    if kind["is"] == "system":
        return _wrong_toplevel(attribute, kind["toplevel"], place, make)
    advice = {
        "package": f"{make} A package goes into the environment.systemPackages of a system.",
        "function": f"NixOS makes a system of modules. {make}",
        "systems": "Put them into nixosConfigurations itself, which has one level of names.",
        "home": f"Import home-manager's NixOS module into a system. {make}",
        "configuration": f"lib.evalModules alone makes no system. {make}",
    }.get(kind["is"], make)
    return FleetError(f"{attribute} of {place} is {_words(kind)}, not a NixOS system.", advice)


def _missing(source: Flake, kind: Mapping[str, Any], place: str, make: str) -> FleetError:
    names, others = (listed(kind[key], _SHOWN) for key in ("names", "elsewhere"))
    elsewhere = f" It has {others}, which is not a NixOS system." if kind["elsewhere"] else ""
    if not kind["names"] or kind["name"] == "nixosConfigurations":
        outputs = f" Its outputs are: {names}." if kind["names"] else ""
        return FleetError(f"{place} has no nixosConfigurations.{outputs}{elsewhere}", make)
    return FleetError(
        f'{place} has no nixosConfigurations."{source.attribute}". There are: {names}.{elsewhere}',
        f"Name one of them, as in {source.reference}#{kind['names'][0]}, or add it.",
    )


def _wrong_toplevel(attribute: str, toplevel: Mapping[str, Any], place: str, make: str) -> FleetError | None:
    if toplevel["is"] == "package":
        return None
    return FleetError(
        f"{attribute} of {place} is not a NixOS system: its config.system.build.toplevel is {_words(toplevel)}.", make
    )


def _error_in_file(source: File, kind: Mapping[str, Any], host: str) -> FleetError | None:
    place = f"{source.path} on {host}"
    advice = "Name the toplevel of a system, as in 'attribute: web.config.system.build.toplevel'."
    if kind["is"] == "missing":
        has = f"There are: {listed(kind['names'], _SHOWN)}" if kind["names"] else f"It is {_words({'is': kind['of']})}"
        return FleetError(f"{place} has no {source.attribute}. {has}.", advice)
    if kind["is"] == "package":
        return None
    if kind["is"] == "system":
        advice = f"Name its toplevel: 'attribute: {source.attribute}.config.system.build.toplevel'."
        return FleetError(
            f"{source.attribute} of {place} is the whole of a NixOS system, which nix cannot build.", advice
        )
    return FleetError(f"{source.attribute} of {place} is {_words(kind)}, not a NixOS system.", advice)


def _words(kind: Mapping[str, Any]) -> str:
    if kind["is"] == "package":
        return f"the package {kind['name']!r}"
    if kind["is"] == "systems":
        return f"a set with the systems {listed(kind['names'], _SHOWN)}"
    if kind["is"] == "set":
        return f"a set with {listed(kind['names'], _SHOWN)}" if kind.get("names") else "an empty set"
    if kind["is"] == "lambda":
        return _WORDS["function"]
    return _WORDS.get(kind["is"], f"a {kind['is']}")
