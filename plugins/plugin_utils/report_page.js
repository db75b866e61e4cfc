// Copyright (c) 2026, inx.fleet contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// The filter. The page is whole without it. What is typed is kept in the address, so that it can be linked: #q=web
"use strict";
(() => {
  const form = document.getElementById("search");
  const input = document.getElementById("filter");
  const count = document.getElementById("count");
  const hosts = [...document.querySelectorAll(".host")].map((element) => {
    const head = entry(element.querySelector(".head"), "");
    const name = element.querySelector("h3").textContent;
    const containers = [...element.querySelectorAll(".container")].map((one) => entry(one, name));
    return { element, head, containers };
  });
  const problems = [...document.querySelectorAll(".problems > li")].map((one) => entry(one, ""));
  const entries = hosts.flatMap((host) => [host.head, ...host.containers]);

  function entry(element, name) {
    const tokens = element.dataset.filter.split(" ");
    return { element, tokens, text: `${name} ${element.textContent}`.toLowerCase() };
  }

  function matches(entry, words) {
    return words.every((word) =>
      word.startsWith("state:") ? entry.tokens.includes(word.slice(6)) : entry.text.includes(word));
  }

  function apply() {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const host of hosts) {
      let found = 0;
      for (const one of host.containers) {
        one.found = matches(one, words);
        one.element.hidden = !one.found;
        found += one.found;
      }
      host.head.found = matches(host.head, words);
      host.element.hidden = !host.head.found && found === 0;
    }
    let shown = 0;
    for (const one of problems) {
      one.element.hidden = !matches(one, words);
      shown += !one.element.hidden;
    }
    const section = document.getElementById("problems")?.parentElement;
    if (section) section.hidden = shown === 0;
    const found = entries.filter((one) => one.found).length;
    count.textContent = words.length ? `${found} of ${entries.length} shown` : `${entries.length} hosts and containers`;
  }

  function follow() {
    if (location.hash.startsWith("#q=")) {
      input.value = read(location.hash.slice(3));
      apply();
      return;
    }
    const target = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
    if (!target) return;
    if (target.closest("[hidden]")) {
      input.value = "";
      apply();
    }
    const details = target.querySelector(":scope > details");
    if (details) details.open = true;
    target.scrollIntoView();
  }

  function read(text) {
    try {
      return decodeURIComponent(text);
    } catch {
      return text;
    }
  }

  input.addEventListener("input", () => {
    history.replaceState(null, "", input.value ? `#q=${encodeURIComponent(input.value)}` : "#");
    apply();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  addEventListener("hashchange", follow);
  form.hidden = false;
  apply();
  follow();
})();
