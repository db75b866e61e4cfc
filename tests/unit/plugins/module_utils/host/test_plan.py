# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import stat
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.inx.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inx.fleet.plugins.module_utils.gcroots.files import File
from ansible_collections.inx.fleet.plugins.module_utils.host.declaration import Declared, HostDeclaration
from ansible_collections.inx.fleet.plugins.module_utils.host.managed import (
    BACKPORTS,
    GCROOTS_PATH,
    GCROOTS_SERVICE,
    GCROOTS_UNITS,
    IDS_GIVEN,
    INCUS_SERVICE,
    INCUS_UNITS,
    NIX_CONF,
    NIX_CUSTOM_CONF,
    NIX_SERVICE,
    NIX_SETTINGS,
    NIX_SOCKET,
    SUBIDS,
)
from ansible_collections.inx.fleet.plugins.module_utils.host.observed import (
    NO_CHANGE,
    Held,
    IncusState,
    Observed,
    Packages,
    Path,
    Release,
    Unit,
)
from ansible_collections.inx.fleet.plugins.module_utils.host.packages import with_packages
from ansible_collections.inx.fleet.plugins.module_utils.host.plan import plan_host
from ansible_collections.inx.fleet.plugins.module_utils.incus.models import Profile
from ansible_collections.inx.fleet.plugins.module_utils.incus.store_profile import StoreMount
from ansible_collections.inx.fleet.plugins.module_utils.paths import DAEMON_SOCKET_DIR, DB_DIR, PROFILES_DIR, STORE_DIR
from ansible_collections.inx.fleet.tests.unit.plugins.module_utils.host.model import (
    BARE,
    DEBIAN_NIX,
    DIRECTORY,
    NEW_INCUS,
    NO_COMMAND,
    SERVER,
    TRIXIE,
    UP,
    Host,
    actions,
    provisioned,
)

DEFAULTS = HostDeclaration()

# Hosts in any state


def _units(names: tuple[str, ...]) -> st.SearchStrategy[dict[str, Unit]]:
    state = st.builds(
        Unit,
        is_there=st.just(True),
        is_active=st.booleans(),
        is_enabled=st.booleans(),
        started=st.sampled_from([1.0, 50.0]),
    )
    return st.fixed_dictionaries(dict.fromkeys(names, state))


def _files(*paths: str) -> st.SearchStrategy[dict[str, File]]:
    contents = st.sampled_from([b"", b"cores = 1\n", b"me:1:1\n", b"!include inx-fleet.conf\n", b"root:5:5\nme:1:1\n"])
    file = st.builds(File, content=contents, mode=st.sampled_from([0o644, 0o600]))
    return st.fixed_dictionaries({}, optional=dict.fromkeys(paths, file))


_NAMES = st.sampled_from(["default", "local", "incusbr0", "lan"])
_CONFIGS = st.dictionaries(st.sampled_from(["ipv4.nat", "dns.mode"]), st.sampled_from(["true", "none"]))


@st.composite
def incus_states(draw: st.DrawFn) -> IncusState:
    """Return pools and networks, and a default profile with devices on some of them."""
    names, others = draw(st.sets(_NAMES, max_size=2)), draw(st.sets(_NAMES, max_size=2))
    pools = {name: Held(name=name, kind="dir", config=draw(_CONFIGS)) for name in names}
    networks = {name: Held(name=name, kind="bridge", config=draw(_CONFIGS)) for name in others}
    devices: dict[str, dict[str, str]] = {}
    if draw(st.booleans()) and pools:
        devices["disk0"] = {"type": "disk", "path": "/", "pool": draw(st.sampled_from(sorted(pools)))}
    if draw(st.booleans()) and networks:
        devices["eth0"] = {"type": "nic", "network": draw(st.sampled_from(sorted(networks)))}
    profiles = {"default": Profile(name="default", devices=devices, config=draw(_CONFIGS))}
    return IncusState(server=SERVER, pools=pools, networks=networks, profiles=profiles)


@st.composite
def hosts(draw: st.DrawFn) -> Host:
    """Return a host as any run, or anybody, may have left it."""
    state = draw(incus_states())
    installed = set(draw(st.sets(st.sampled_from(sorted(DEBIAN_NIX.installed)))))
    nix = draw(st.sampled_from(["absent", "debian", "other"]))
    has_incus = "incus-base" in installed
    if nix == "debian":
        installed |= {"nix-bin", "nix-setup-systemd"}
    elif nix == "absent":
        installed -= {"nix-setup-systemd"}
    units = {
        **(draw(_units((NIX_SOCKET, NIX_SERVICE))) if nix != "absent" else {}),
        **(draw(_units((*INCUS_UNITS, INCUS_SERVICE))) if has_incus else {}),
    }
    gcroots = draw(st.sampled_from([NO_CHANGE, NO_COMMAND]))
    if gcroots is NO_CHANGE:
        units |= draw(_units((GCROOTS_PATH, GCROOTS_SERVICE)))
    paths = {} if nix == "absent" else {DAEMON_SOCKET_DIR: Path(kind=stat.S_IFDIR, mode=draw(_MODES))}
    if nix == "other":
        paths |= {STORE_DIR: DIRECTORY, DB_DIR: DIRECTORY}
    files = draw(_files(NIX_SETTINGS, NIX_CONF, BACKPORTS, *SUBIDS))
    paths |= {path: Path(kind=stat.S_IFREG, changed=draw(st.sampled_from([0.0, 60.0]))) for path in files}
    return Host(
        Observed(
            release=TRIXIE,
            packages=Packages(
                installed=dict.fromkeys(sorted(installed), "1"),
                is_interrupted=draw(st.booleans()),
                has_backports=draw(st.booleans()),
                mirror="https://mirror.example.org/debian",
            ),
            has_python_packages=draw(st.booleans()) and "python3-venv" in installed,
            units=units,
            nix=nix,  # type: ignore[arg-type]
            has_incus=has_incus,
            files=files,
            paths=paths,
            incus=state if has_incus and units["incus.socket"].is_active else None,
            gcroots=gcroots,
            gcroots_changed=70.0,
        ),
        state,
    )


_MODES = st.sampled_from([0o755, 0o770])


def declarations() -> st.SearchStrategy[HostDeclaration]:
    return st.builds(
        HostDeclaration,
        backports=st.booleans(),
        nix_settings=st.dictionaries(st.sampled_from(["cores", "max-jobs"]), st.sampled_from(["1", "2"])),
        nix_open=st.booleans(),
        pool=st.builds(Declared, name=st.just("") | _NAMES),
        network=st.builds(Declared, name=st.just("") | _NAMES, config=_CONFIGS),
        store=st.builds(StoreMount, localtime=st.just(False), self_update=st.booleans()),
        gcroots=st.booleans(),
    )


@given(hosts(), declarations())
def test_applying_a_plan_leaves_nothing_to_do(host: Host, declared: HostDeclaration) -> None:
    host.converge(declared)
    assert actions(plan_host(declared, host.observed)) == []


@given(hosts(), declarations(), st.integers(0, 20))
def test_a_run_that_was_killed_is_continued(host: Host, declared: HostDeclaration, limit: int) -> None:
    host.converge(declared, limit)
    host.converge(declared)
    assert actions(plan_host(declared, host.observed)) == []


@given(hosts(), declarations())
def test_a_plan_goes_on_with_what_packages_leave(host: Host, declared: HostDeclaration) -> None:
    predicted = plan_host(declared, host.observed)
    if predicted.packages:
        after = plan_host(declared, with_packages(host.observed, predicted.packages))
        place = actions(predicted).index("packages")
        assert set(actions(predicted)[:place]) <= {"source", "configure"}
        rest = [step for step in after.steps if step.action != "source"]
        assert list(predicted.steps[place + 1 :]) == rest


@given(hosts(), declarations())
def test_nothing_is_pending_after_a_whole_run(host: Host, declared: HostDeclaration) -> None:
    host.converge(declared)
    assert plan_host(declared, host.observed).pending == ()


@given(incus_states())
def test_an_incus_that_is_set_up_is_adopted_as_it_is(state: IncusState) -> None:
    devices = {
        "root": {"type": "disk", "path": "/", "pool": "mine"},
        "nic": {"type": "nic", "parent": "br0", "nictype": "bridged"},
    }
    profiles = {**state.profiles, "default": Profile(name="default", devices=devices)}
    pools = {**state.pools, "mine": Held(name="mine", kind="zfs")}
    host = replace(provisioned(), incus=replace(state, pools=pools, profiles=profiles))
    assert [step.name for step in plan_host(DEFAULTS, host).steps] == ["inx-container"]


# Single hosts


def test_a_bare_host() -> None:
    plan = plan_host(DEFAULTS, BARE)
    assert actions(plan) == [
        *("packages", "python", "settings", "restart", "store", "directory", "access"),
        *("pool", "network", "profile", "profile", "gcroots", "watch"),
    ]
    assert plan.packages.install == (
        *("nix-bin", "nix-setup-systemd", "dnsmasq-base", "nftables", "uidmap", "python3-venv", "incus-base"),
    )
    assert plan.pending == ("Python", "Nix", "Incus", "the profiles")
    assert not plan.continues


def test_incus_from_backports() -> None:
    plan = plan_host(replace(DEFAULTS, backports=True), BARE)
    assert actions(plan)[:2] == ["source", "packages"]
    assert (plan.packages.backports, plan.packages.release) == (("incus-base",), "trixie-backports")
    assert b"https://mirror.example.org/debian" in plan.steps[0].files[BACKPORTS].content
    packages = replace(DEBIAN_NIX, installed={**DEBIAN_NIX.installed, "incus-base": "7~bpo"})
    newer = replace(provisioned(), packages=packages)
    assert actions(plan_host(replace(DEFAULTS, backports=True), newer)) == ["source"]
    assert actions(plan_host(DEFAULTS, newer)) == []


def test_backports_without_a_mirror_are_refused() -> None:
    host = replace(BARE, packages=Packages())
    with pytest.raises(FleetError, match="name no mirror of Debian trixie"):
        plan_host(replace(DEFAULTS, backports=True), host)
    declared = replace(DEFAULTS, backports=True, debian_mirror="https://other.example.org")
    assert b"https://other.example.org" in plan_host(declared, host).steps[0].files[BACKPORTS].content


@pytest.mark.parametrize(
    "release",
    [
        Release(id="debian", version="12", name="Debian GNU/Linux 12 (bookworm)"),
        Release(id="ubuntu", version="24.04", name="Ubuntu 24.04"),
        Release(id=""),
    ],
)
def test_other_distributions_are_refused(release: Release) -> None:
    with pytest.raises(FleetError, match="provisions Debian 13 or newer and checks NixOS"):
        plan_host(DEFAULTS, replace(BARE, release=release))


def test_a_nix_of_another_installer_is_used_as_it_is() -> None:
    found = provisioned()
    installed = {name: version for name, version in DEBIAN_NIX.installed.items() if not name.startswith("nix-")}
    service = {NIX_SERVICE: replace(UP, started=10.0**6), NIX_SOCKET: Unit()}
    host = replace(
        found, nix="other", packages=replace(DEBIAN_NIX, installed=installed), units={**found.units, **service}
    )
    assert actions(plan_host(DEFAULTS, host)) == []
    changed = plan_host(replace(DEFAULTS, nix_settings={"cores": "2"}), host)
    assert [(step.action, step.units) for step in changed.steps] == [("settings", ()), ("restart", (NIX_SERVICE,))]


@pytest.mark.parametrize("was_faster", [NIX_SERVICE, NIX_SOCKET])
def test_a_new_daemon_is_restarted_whatever_its_package_started_first(was_faster: str) -> None:
    """Debian's package starts the service and the socket at once, and the socket fails if the service was faster."""
    predicted = plan_host(DEFAULTS, BARE)
    installed = with_packages(BARE, predicted.packages)
    socket = Unit(is_there=True, is_enabled=True, is_active=was_faster == NIX_SOCKET)
    plan = plan_host(DEFAULTS, replace(installed, units={**installed.units, NIX_SOCKET: socket}))
    assert plan.steps == predicted.steps[1:]


def test_settings_go_where_determinate_nix_keeps_those_of_the_user() -> None:
    conf = File(content=b"# Do not modify!\n!include nix.custom.conf\n")
    host = replace(provisioned(), files={NIX_CONF: conf}, nix="other")
    step = plan_host(DEFAULTS, host).steps[1]
    assert (step.action, set(step.files)) == ("settings", {NIX_SETTINGS, NIX_CUSTOM_CONF})


def test_a_nix_without_a_daemon_is_refused() -> None:
    with pytest.raises(FleetError, match=r"without the unit nix-daemon\.service"):
        plan_host(DEFAULTS, replace(BARE, nix="without daemon"))


def test_an_incus_that_does_not_run_is_looked_at_after_its_start() -> None:
    found = provisioned()
    units = {**found.units, "incus.socket": Unit(is_there=True, is_enabled=True)}
    plan = plan_host(DEFAULTS, replace(found, incus=None, units=units))
    assert (actions(plan), plan.continues, plan.steps[0].units) == (["start"], True, ("incus.socket",))


def test_the_users_lines_of_nix_conf_stay() -> None:
    mine = File(content=b"# mine\nmax-jobs = 3", mode=0o600)
    host = replace(provisioned(), files={**provisioned().files, NIX_CONF: mine})
    settings, restart = plan_host(DEFAULTS, host).steps
    assert (settings.action, restart.action) == ("settings", "restart")
    assert settings.files == {NIX_CONF: File(content=b"# mine\nmax-jobs = 3\n!include inx-fleet.conf\n", mode=0o600)}


def test_secret_settings_are_not_in_a_step() -> None:
    declared = replace(DEFAULTS, nix_settings={"access-tokens": "github.com=hunter22", "cores": "2"})
    host = provisioned(replace(DEFAULTS, nix_settings={"access-tokens": "github.com=oldtoken"}))
    step = plan_host(declared, host).steps[0]
    assert (step.before, step.after) == (
        {"access-tokens": "(secret)", "cores": None},
        {"access-tokens": "(new secret)", "cores": "2"},
    )
    assert b"hunter22" in step.files[NIX_SETTINGS].content


def test_ids_of_root_that_are_there_stay() -> None:
    files = {**provisioned().files, SUBIDS[0]: File(content=b"root:5:5\n"), SUBIDS[1]: File(content=b"me:1:1")}
    host = replace(provisioned(), files=files)
    plan = plan_host(DEFAULTS, host)
    assert plan.steps[0].files == {
        IDS_GIVEN: File(content=b""),
        SUBIDS[1]: File(content=b"me:1:1\nroot:1000000:1000000000\n"),
    }
    # Nothing restarts an Incus that reads them when it is started.
    assert actions(plan) == ["subids"]
    running = replace(host, units={**host.units, INCUS_SERVICE: UP})
    assert actions(plan_host(DEFAULTS, running)) == ["subids", "restart"]


@pytest.mark.parametrize(("given", "planned"), [(40.0, []), (60.0, ["restart"])])
def test_an_incus_that_runs_on_older_ids_is_restarted(given: float, planned: list[str]) -> None:
    host = provisioned()
    units = {**host.units, INCUS_SERVICE: replace(UP, started=50.0)}
    # Users that come and go change the files too.
    changed = {IDS_GIVEN: given, SUBIDS[0]: 90.0}
    paths = {**host.paths, **{path: Path(kind=stat.S_IFREG, changed=when) for path, when in changed.items()}}
    assert actions(plan_host(DEFAULTS, replace(host, units=units, paths=paths))) == planned


def test_without_roots_their_units_go() -> None:
    plan = plan_host(replace(DEFAULTS, gcroots=False), provisioned())
    (step,) = plan.steps
    assert (step.action, step.units, set(step.removed)) == (
        "unwatch",
        (GCROOTS_PATH, GCROOTS_SERVICE),
        set(GCROOTS_UNITS),
    )


def test_the_directory_of_profiles_is_closed() -> None:
    found = provisioned()
    opened = {**found.paths, PROFILES_DIR: Path(kind=stat.S_IFDIR, mode=0o755)}
    (step,) = plan_host(DEFAULTS, replace(found, paths=opened)).steps
    assert (step.before, step.after) == ({PROFILES_DIR: "0755 root:root"}, {PROFILES_DIR: "2770 root:incus-admin"})


def test_a_path_to_share_that_does_not_exist_is_refused() -> None:
    declared = replace(DEFAULTS, store=StoreMount(shared_paths=("/srv/reference",)))
    with pytest.raises(FleetError, match="This host has no /srv/reference to share"):
        plan_host(declared, provisioned())


def test_a_database_that_is_shared_is_warned_of() -> None:
    found = provisioned()
    nixdb: dict[str, Any] = {"type": "disk", "source": DB_DIR, "path": DB_DIR, "readonly": "true", "shift": "true"}
    assert found.incus is not None
    profile = found.incus.profiles["inx-container"]
    shared = replace(profile, devices={**profile.devices, "nixdb": nixdb})
    profiles = {**found.incus.profiles, "inx-container": shared}
    plan = plan_host(DEFAULTS, replace(found, incus=replace(found.incus, profiles=profiles)))
    assert (actions(plan), len(plan.warnings)) == ([], 1)


def test_a_new_incus_gets_what_is_not_declared() -> None:
    plan = plan_host(DEFAULTS, replace(provisioned(), incus=NEW_INCUS))
    assert [(step.name, step.body.get("config")) for step in plan.steps][:2] == [
        ("default", {}),
        ("incusbr0", {"ipv4.address": "10.55.0.1/24", "ipv4.nat": "true", "ipv6.address": "none"}),
    ]
