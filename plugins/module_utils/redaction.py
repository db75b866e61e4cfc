# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Redaction of secrets: config keys that are or were secret, and credentials in URLs and settings. Pure.

Ansible hides the values that an argument spec marks. It cannot know those that are on an instance from an earlier run,
so the names of such keys are kept there, beside them; nor those that are a part of an option, such as a password in a
URL, which are found here by their form.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

from .stored_keys import HIDDEN_KEYS
from .text import shown

HIDDEN_OLD = "(secret)"
HIDDEN_NEW = "(new secret)"
_STARS = "********"
# Hiding a shorter one would hide much else: Ansible replaces it wherever it appears in a result.
_SHORTEST = 4
# Of a value that is on an instance; shorter ones are often words such as "default" that results have, too.
_SHORTEST_STORED = 8

# No longer a scheme than there are, or a long word is searched to its end from each of its letters.
_URL_USER = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]{0,20})://(?P<user>[^\s/@:?#'\"]*)(?P<password>:[^\s/?#'\"]*)?@", re.I
)
_URL_QUERY = re.compile(
    r"(?P<name>[?&;](?:[a-z0-9_.-]*[_.-])?(?:token|password|passwd|secret|signature|sig|auth|credentials?|(?:api|access|private)[-_]?key)=)"
    r"(?P<value>[^\s&#;'\"]+)",
    re.I,
)
# Over http a user alone is a token, as in https://TOKEN@github.com; over ssh it is a user.
_HTTP = re.compile(r"(.*\+)?https?\Z", re.I)
# Nix: src/libfetchers/fetch-settings.hh, access-tokens, and src/libstore/globals.hh, impure-env: words NAME=VALUE.
_ASSIGNMENTS = frozenset(("access-tokens", "impure-env"))
_SECRET_NAME = re.compile(r"token|password|passwd|secret(?!-key-files)", re.I)


# Config keys


def recorded_secrets(config: Mapping[str, Any]) -> frozenset[str]:
    """Return the keys that an instance's config says are secret."""
    return frozenset((config.get(HIDDEN_KEYS) or "").split())


def secret_keys(
    declared: Collection[str], sides: Iterable[Mapping[str, Any]], config: Mapping[str, str]
) -> frozenset[str]:
    """Return the keys to hide in the steps of a run: the declared ones, and those that any side of a step, or the
    instance's config as it was seen last, says are secret."""
    found = frozenset(declared) | recorded_secrets(config)
    for side in sides:
        found |= recorded_secrets(side.get("config") or {})
    return found


def hidden(side: Mapping[str, Any], keys: Collection[str], *, old: bool) -> dict[str, Any]:
    """Return one side of a step without the values of these keys. Their coming, changing and going is still shown."""
    config = side.get("config")
    if not config:
        return dict(side)
    text = HIDDEN_OLD if old else HIDDEN_NEW
    shown = {key: text if key in keys and value is not None else value for key, value in config.items()}
    return {**side, "config": shown}


def stored_secrets(keys: Collection[str], sides: Iterable[Mapping[str, Any]], config: Mapping[str, str]) -> set[str]:
    """Return the values of secret keys that a run has met, to be hidden where Incus or a container repeats them.

    Those that the run declares itself Ansible hides already, however short they are.
    """
    configs = [config, *(side.get("config") or {} for side in sides)]
    values = {str(found[key]) for found in configs for key in keys if found.get(key) is not None}
    return {value for value in values if len(value) >= _SHORTEST_STORED}


@lru_cache(maxsize=8)
def ways_to_write(values: frozenset[str]) -> tuple[str, ...]:
    """Return all texts that are to be hidden for secret values, however other programs write them, the longest first.

    Of a value with several lines, the long ones are hidden each: what quotes it may mark them.
    """
    texts = {text for value in values for text in (value, *_long_lines(value)) if text}
    ways = {way for text in texts for way in (text, shown(text), *_quoted(text))}
    return tuple(sorted(ways, key=len, reverse=True))


def _long_lines(value: str) -> list[str]:
    return [line for line in value.splitlines() if len(line) >= _SHORTEST_STORED]


def _quoted(text: str) -> Iterator[str]:
    """Yield a text as JSON has it between quotes."""
    yield from (json.dumps(text, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False))


def starred(text: str, ways: Iterable[str]) -> str:
    """Return a text with stars in the place of each of the ``ways`` to write secrets."""
    for way in ways:
        if way in text:
            text = text.replace(way, _STARS)
    return text


# Credentials


def redacted(text: str) -> str:
    """Return a text with stars in the place of the credentials in its URLs."""
    return _URL_QUERY.sub(rf"\g<name>{_STARS}", _URL_USER.sub(_without_password, text))


def _without_password(match: re.Match[str]) -> str:
    scheme, user, password = match["scheme"], match["user"], match["password"]
    if password is not None:
        return f"{scheme}://{user}:{_STARS}@"
    return f"{scheme}://{_STARS}@" if user and _HTTP.match(scheme) else match[0]


def credentials(parameters: Any) -> set[str]:
    """Return the parts of a module's parameters that are to be hidden wherever they appear."""
    found = {part for part in _credentials(parameters) if len(part) >= _SHORTEST}
    return found | {text for text in map(unquote, found) if len(text) >= _SHORTEST}


def _credentials(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield from _credentials_of_urls(value)
    elif isinstance(value, Mapping):
        for name, entry in value.items():
            yield from _credentials(entry)
            if name == "secrets" and isinstance(entry, (list, tuple)):
                yield from _contents(entry)
            elif name == "secrets" and isinstance(entry, Mapping):
                # It is refused, and the refusal shows it.
                yield from (text for text in entry.values() if isinstance(text, str))
            if name in ("nix_options", "nix_settings") and isinstance(entry, Mapping):
                for setting, given in entry.items():
                    yield from _credentials_of_setting(str(setting).removeprefix("extra-"), given)
    elif isinstance(value, (list, tuple)):
        for entry in value:
            yield from _credentials(entry)


def _contents(secrets: Iterable[Any]) -> Iterator[str]:
    """Yield what a service may print of its secrets: their texts as they are decoded, and the lines of each.

    Ansible hides a content as it was given, with its last newline.
    """
    for entry in secrets:
        text = str(entry.get("content") or entry.get("contents") or "") if isinstance(entry, Mapping) else ""
        if text and entry.get("encoding") == "base64":
            try:
                text = b64decode(text).decode()
            except ValueError:
                continue
        yield text.strip()
        lines = text.splitlines()
        yield from (line.strip() for line in lines if len(line.strip()) >= _SHORTEST_STORED and len(lines) > 1)


def _credentials_of_urls(text: str) -> Iterator[str]:
    for match in _URL_USER.finditer(text):
        if match["password"]:
            yield match["password"][1:]
        elif _HTTP.match(match["scheme"]):
            yield match["user"]
    for match in _URL_QUERY.finditer(text):
        yield match["value"]


def is_secret_setting(name: str) -> bool:
    """Return whether the value of a setting of Nix is not to be shown."""
    base = name.removeprefix("extra-")
    return base in _ASSIGNMENTS or _SECRET_NAME.search(base) is not None


def _credentials_of_setting(name: str, value: Any) -> Iterator[str]:
    words = [word for part in (value if isinstance(value, (list, tuple)) else [value]) for word in str(part).split()]
    if name in _ASSIGNMENTS:
        for word in words:
            secret = word.partition("=")[2]
            yield secret
            # "PAT:..." and "OAuth2:..." tell the kind of token.
            yield secret.rpartition(":")[2]
    elif _SECRET_NAME.search(name):
        yield from words
