// Gatehouse pages work without this script; it only adds comfort: copy buttons, local times, live search, menus that
// close, and a guard against sending a form twice.
"use strict";

const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const pad = (n) => String(n).padStart(2, "0");

function showLocalTimes() {
  const now = new Date();
  const lang = document.documentElement.lang;
  for (const el of all("time[datetime]")) {
    const t = new Date(el.dateTime);
    if (isNaN(t)) continue;
    const clock = pad(t.getHours()) + ":" + pad(t.getMinutes());
    const days = Math.round((new Date(now).setHours(0, 0, 0, 0) - new Date(t).setHours(0, 0, 0, 0)) / 864e5);
    const date = t.toLocaleDateString(lang === "en" ? "en-GB" : lang, {
      day: "numeric", month: "short", year: t.getFullYear() === now.getFullYear() ? undefined : "numeric",
    });
    el.textContent = (days === 0 ? "today" : days === 1 ? "yesterday" : date) + ", " + clock;
  }
}

// An answer to a post that was shown in place of its page gets that page's address, so that a reload sends nothing again.
function settleAddress() {
  const here = document.querySelector("[data-here]");
  if (here) history.replaceState(null, "", here.dataset.here);
}

function enableCopy() {
  if (!navigator.clipboard) return;
  for (const button of all("[data-copy]")) {
    const label = button.querySelector("span");
    label.setAttribute("aria-live", "polite");
    button.hidden = false;
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(button.dataset.copy);
        label.textContent = "Copied";
        button.classList.add("done");
      } catch {
        label.textContent = "Select and copy it by hand";
      }
      setTimeout(() => { label.textContent = "Copy"; button.classList.remove("done"); }, 2500);
    });
  }
}

// Puts what is typed in a field in the place of NAME in the addresses of a box.
function fillNames() {
  for (const box of all("[data-fill]")) {
    const field = document.getElementById(box.dataset.fill);
    const parts = [...box.querySelectorAll("code, [data-copy]")].map((part) => [part, part.dataset.copy ?? part.textContent]);
    const fill = () => {
      for (const [part, text] of parts) {
        const full = text.replace("NAME", () => field.value.trim() || "NAME");
        if (part.dataset.copy) part.dataset.copy = full;
        else part.textContent = full;
      }
    };
    field?.addEventListener("input", fill);
    if (field) fill();
  }
}

// Leads the browser from app to app while signing out. An app that the browser reaches is opened in this window, where its
// cookies count, and sends the browser back. One that may not come back is told in a frame instead, for some seconds at most.
async function leaveApps() {
  const list = document.querySelector("[data-leave]");
  if (!list) return;
  const { leave, probe, frame, skip } = list.dataset;
  if (document.querySelector("iframe[data-leaving]")) { // the window is loaded once they are
    const goOn = () => location.replace(leave);
    setTimeout(goOn, 8000);
    return document.readyState === "complete" ? goOn() : window.addEventListener("load", goOn);
  }
  try {
    await fetch(probe, { method: "HEAD", mode: "no-cors", credentials: "omit", cache: "no-store", signal: AbortSignal.timeout(4000) });
    location.replace(leave);
  } catch {
    if (!frame) return location.replace(skip);
    const inner = document.createElement("iframe");
    const goOn = () => location.reload();
    inner.hidden = true;
    inner.title = "Signing out";
    inner.addEventListener("load", () => setTimeout(goOn, 500));
    setTimeout(goOn, 8000);
    inner.src = frame;
    document.body.append(inner);
  }
}

function enableReveal() {
  for (const button of all("[data-reveal]")) {
    const input = document.getElementById(button.dataset.reveal);
    const set = (shown) => {
      input.type = shown ? "text" : "password";
      button.setAttribute("aria-pressed", String(shown));
      button.firstChild.textContent = shown ? "Hide" : "Show";
    };
    button.hidden = false;
    button.addEventListener("click", () => { set(input.type === "password"); input.focus(); });
    input.form.addEventListener("submit", () => set(false));
  }
}

// Live search in the portal: every word must occur; Enter opens the first hit; "/" goes to the field.
function enableSearch() {
  const input = document.querySelector("input[data-search]");
  const grid = input && document.getElementById(input.dataset.search);
  if (!grid || input.defaultValue) return;
  const result = document.querySelector("[data-result]");
  const items = all("li", grid).map((li) => ({ li, words: li.dataset.words }));
  let first = null;
  const search = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let hits = 0;
    first?.classList.remove("first-hit");
    first = null;
    for (const item of items) {
      const hit = words.every((w) => item.words.includes(w));
      item.li.hidden = !hit;
      if (hit && ++hits === 1 && words.length) first = item.li;
    }
    first?.classList.add("first-hit");
    for (const section of all("[data-hide-on-search]")) section.hidden = words.length > 0;
    result.hidden = words.length === 0;
    result.textContent = hits === 0 ? "No app matches. Try a shorter word." : hits === 1 ? "1 app. Press Enter to open it." : hits + " apps";
  };
  input.addEventListener("input", search);
  input.form.addEventListener("submit", (e) => {
    if (!input.value.trim()) return e.preventDefault();
    if (first) { e.preventDefault(); first.querySelector("a").click(); }
  });
  input.addEventListener("keydown", (e) => { if (e.key === "Escape") { input.value = ""; search(); } });
  const key = input.parentElement.querySelector("kbd");
  if (key) key.hidden = false;
  document.addEventListener("keydown", (e) => {
    if (e.key !== "/" || e.ctrlKey || e.metaKey || e.altKey || /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement.tagName)) return;
    e.preventDefault();
    input.focus();
  });
  if (input.value) search();
}

function enableFilters() {
  for (const input of all("input[data-filter]")) {
    input.hidden = false;
    const items = all("li", input.parentElement);
    input.addEventListener("input", () => {
      const word = input.value.trim().toLowerCase();
      for (const li of items) li.hidden = !li.textContent.toLowerCase().includes(word);
    });
    input.addEventListener("keydown", (e) => { if (e.key === "Enter") e.preventDefault(); });
  }
  for (const select of all("select[data-submit]")) select.addEventListener("change", () => select.form.requestSubmit());
}

function enableMenus() {
  document.querySelector(".tabs [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  const close = (menu, focus) => {
    if (!menu.open) return;
    menu.open = false;
    if (focus) menu.querySelector("summary").focus();
  };
  document.addEventListener("click", (e) => {
    for (const menu of all("details.menu[open]")) if (!menu.contains(e.target)) close(menu, false);
  });
  document.addEventListener("keydown", (e) => {
    if (e.key === "Escape") for (const menu of all("details.menu[open]")) close(menu, true);
  });
}

// A form is sent once; coming back with the Back button makes it usable again.
function enableForms() {
  for (const input of all("input[data-match]")) {
    const button = input.form.querySelector("button:not([type])");
    const check = () => { button.disabled = input.value !== input.dataset.match; };
    input.addEventListener("input", check);
    check();
  }
  for (const form of all("form[data-once]")) {
    form.addEventListener("submit", (e) => {
      if (form.dataset.sent) return e.preventDefault();
      form.dataset.sent = "yes";
      for (const b of all("button:not([type])", form)) b.setAttribute("aria-busy", "true");
    });
  }
  addEventListener("pageshow", () => {
    for (const form of all("form[data-sent]")) {
      delete form.dataset.sent;
      for (const b of all("[aria-busy]", form)) b.removeAttribute("aria-busy");
    }
  });
}

// Passkeys: a form with data-passkey asks the browser's authenticator ("get" or "create") and posts its answer. Without an
// authenticator API the forms stay hidden.
const passkeyProblems = {
  NotAllowedError: "Nothing was done: it was cancelled, or took too long. Try again.",
  InvalidStateError: "This passkey or key is among yours already. Use another one.",
  SecurityError: "Passkeys do not work at this address. Choose another way.",
};

function enablePasskeys() {
  const api = window.PublicKeyCredential;
  if (!api?.parseRequestOptionsFromJSON) return;
  let waiting;
  const ask = async (form, mediation) => {
    waiting?.abort();
    waiting = new AbortController();
    const { passkey, options } = form.dataset;
    const json = JSON.parse(options).publicKey;
    const publicKey = passkey === "create" ? api.parseCreationOptionsFromJSON(json) : api.parseRequestOptionsFromJSON(json);
    const found = await navigator.credentials[passkey]({ publicKey, mediation, signal: waiting.signal });
    form.elements.response.value = JSON.stringify(found.toJSON());
    form.submit();
  };
  for (const el of all("[data-with-passkey]")) el.hidden = false;
  for (const form of all("form[data-passkey]")) {
    const problem = form.querySelector("[role=alert]");
    form.hidden = false;
    form.addEventListener("submit", async (e) => {
      e.preventDefault();
      problem.hidden = true;
      try {
        await ask(form);
      } catch (error) {
        problem.hidden = false;
        problem.lastElementChild.textContent = passkeyProblems[error.name] || "That did not work: " + error.message;
      }
    });
    if ("conditional" in form.dataset) {
      api.isConditionalMediationAvailable?.().then((can) => can && ask(form, "conditional")).catch(() => {});
    }
  }
}

showLocalTimes();
enablePasskeys();
enableCopy();
fillNames();
settleAddress();
enableReveal();
leaveApps();
enableSearch();
enableFilters();
enableMenus();
enableForms();
