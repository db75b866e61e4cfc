# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.inx.fleet.plugins.module_utils.container import restore_secrets, secret_files
from ansible_collections.inx.fleet.plugins.module_utils.container.restore_secrets import SEALED
from ansible_collections.inx.fleet.plugins.module_utils.container.secret_files import (
    SecretFiles,
    notes_from,
    notes_text,
)
from ansible_collections.inx.fleet.plugins.module_utils.container.secrets import (
    Due,
    Secret,
    SecretNotes,
    file_of,
    seal_mark,
    secrets_change,
)
from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError

TOKEN = Secret(name="token", content=b"told-nobody", owner=str(os.getuid()), group=str(os.getgid()))
KEY = replace(TOKEN, name="key", content=b"\x00\xff", mode=0o440)


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SecretFiles:
    """Files below a directory of the test: without a file system of their own, and "encrypted" as they are."""
    monkeypatch.setattr(secret_files, "mount_memory", lambda path: None)
    monkeypatch.setattr(secret_files, "unshiftable", lambda paths: frozenset())
    monkeypatch.setattr(secret_files, "is_ready", lambda: True)
    monkeypatch.setattr(secret_files, "make_ready", lambda: None)
    monkeypatch.setattr(secret_files, "encrypted", lambda name, content: f"{name} {content}".encode())
    return SecretFiles(f"{tmp_path}/memory", f"{tmp_path}/at-rest")


def write(files: SecretFiles, *secrets: Secret, at_rest: bool = True) -> None:
    files.write("web", secrets, files.look("web"), SecretNotes(), at_rest=at_rest)


def test_what_is_written_is_as_it_is_declared(files: SecretFiles, tmp_path: Path) -> None:
    for secrets in ((TOKEN, KEY), (replace(TOKEN, content=b"other"),), (TOKEN,)):
        write(files, *secrets)
        again = secrets_change(secrets, "web", files.look("web"), at_rest=True, is_unmounted=False)
        assert not again, again.summary
        found = {
            path.name: (path.read_bytes(), path.stat().st_mode & 0o777) for path in (tmp_path / "memory/web").iterdir()
        }
        owners = "".join(f"{one.name} {one.owner} {one.group}\n" for one in secrets).encode()
        assert found == {**{one.name: (one.content, one.mode) for one in secrets}, ".owners": (owners, 0o444)}
    assert (tmp_path / "memory").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "at-rest").stat().st_mode & 0o777 == 0o700
    files.remove("web")
    assert files.kept() == frozenset()


def test_notes_have_no_content(files: SecretFiles, tmp_path: Path) -> None:
    write(files, TOKEN, at_rest=False)
    names = sorted(path.name for path in (tmp_path / "at-rest/web").iterdir())
    assert names == ["notes.json"]
    assert all(b"told-nobody" not in path.read_bytes() for path in (tmp_path / "at-rest").rglob("*") if path.is_file())


def test_a_killed_run_leaves_nothing_that_stays(files: SecretFiles, tmp_path: Path) -> None:
    write(files, TOKEN)
    (tmp_path / "memory/web/token new").write_text("half")
    assert set(files.look("web").files) == {"token"}
    files.remove("web")
    assert list((tmp_path / "memory").iterdir()) == []


def test_nothing_is_written_when_it_cannot_be_encrypted(
    files: SecretFiles, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(name: str, content: str) -> bytes:
        raise FleetError("no key", "")

    monkeypatch.setattr(secret_files, "encrypted", refuse)
    with pytest.raises(FleetError, match="no key"):
        write(files, TOKEN)
    assert list((tmp_path / "memory").iterdir()) == []


def test_what_is_due_is_so_until_the_host_boots() -> None:
    notes = SecretNotes(
        ids={("user", "app"): 7, ("group", "app"): 8},
        links={"/etc/x": "token"},
        due={"app.service": Due(since=5, reload=True)},
        sealed="mark",
    )
    assert notes_from(notes_text(notes, "one"), "one") == notes
    assert notes_from(notes_text(notes, "one"), "other") == replace(notes, due={})
    assert notes_from("{", "one") == SecretNotes()
    assert notes_from("[]", "one") == SecretNotes()


def test_a_boot_restores_what_was_encrypted(
    files: SecretFiles, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write(files, TOKEN, KEY)
    files.write("db", [], files.look("db"), SecretNotes(), at_rest=False)
    sealed = (tmp_path / "at-rest/web/sealed").read_bytes()

    def run(command: list[str]) -> tuple[int, bytes]:
        if command[0] == "mount":
            return 0, b""
        assert command[2] == "--name=inx-secrets-web"
        return 0, sealed.removeprefix(b"inx-secrets-web ")

    monkeypatch.setattr(restore_secrets, "_run", run)
    memory = f"{tmp_path}/memory-2"
    assert restore_secrets.main([memory, f"{tmp_path}/at-rest"]) == 0
    restored = SecretFiles(memory, f"{tmp_path}/at-rest")
    assert restored.look("web").files == files.look("web").files
    assert os.listdir(f"{memory}/db") == []
    # What is there is newer.
    Path(memory, "web/token").chmod(0o600)
    Path(memory, "web/token").write_bytes(b"newer")
    restore_secrets.main([memory, f"{tmp_path}/at-rest"])
    assert Path(memory, "web/token").read_bytes() == b"newer"


def test_a_boot_says_nothing_of_what_it_cannot_restore(
    files: SecretFiles, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write(files, TOKEN)
    for answer in ((1, b"told-nobody"), (0, b"told-nobody"), (0, b'[{"name": "told-nobody"}]')):
        monkeypatch.setattr(
            restore_secrets, "_run", lambda command, answer=answer: answer if command[0] != "mount" else (0, b"")
        )
        assert restore_secrets.main([f"{tmp_path}/memory-2", f"{tmp_path}/at-rest"]) == 1
        assert "told-nobody" not in "".join(capfd.readouterr())


def test_several_containers_may_be_the_first(files: SecretFiles) -> None:
    """Each sees the same key, and none fails because another one has just made a directory."""
    names = [f"c{number}" for number in range(8)]
    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(lambda name: files.write(name, [TOKEN], files.look(name), SecretNotes(), at_rest=True), names))
    assert len({files.look(name).key for name in names}) == 1
    for name in names:
        seen = files.look(name)
        assert seen.notes.sealed == seal_mark(seen.key, {TOKEN.name: file_of(TOKEN, name, seen)})


def test_what_was_not_restored_is_encrypted_again(files: SecretFiles, tmp_path: Path) -> None:
    """The host may have another key since, so that a boot could not decrypt it."""
    write(files, TOKEN)
    sealed = next(tmp_path.rglob(SEALED))
    sealed.write_bytes(b"by another key")
    for path in (tmp_path / "memory").rglob("*"):
        if path.is_file():
            path.unlink()
    write(files, TOKEN)
    assert sealed.read_bytes() != b"by another key"
