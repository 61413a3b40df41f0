// What the pages do beyond HTML: the theme, keys, questions before decisions, and
// refreshing what has changed. Everything essential works without it.
(() => {
  "use strict";
  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => Array.from(root.querySelectorAll(selector));

  // --- words for everybody, also for those who listen
  function toast(text) {
    const line = document.createElement("p");
    line.textContent = text;
    $("#toasts").append(line);
    setTimeout(() => line.remove(), 8000);
  }

  // --- theme
  const root = document.documentElement;
  const toggle = $("[data-theme-toggle]");
  const dark = () => root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  function nameTheme() { toggle.textContent = dark() ? "Light" : "Dark"; }
  if (toggle) {
    toggle.hidden = false;
    nameTheme();
    toggle.addEventListener("click", () => {
      root.dataset.theme = dark() ? "light" : "dark";
      try { localStorage.setItem("mailroom-theme", root.dataset.theme); } catch { /* until the next page */ }
      nameTheme();
    });
  }

  // --- questions before decisions
  const question = $("#confirm");
  document.addEventListener("submit", event => {
    const button = event.submitter, form = event.target;
    if (!button || !button.dataset.confirm || form.dataset.confirmed === "yes" || !question) return;
    event.preventDefault();
    $("#confirm-title").textContent = button.dataset.confirmTitle;
    $("#confirm-text").textContent = button.dataset.confirm;
    const yes = $("#confirm-yes");
    yes.textContent = "Yes, " + button.value;
    yes.classList.toggle("danger", button.classList.contains("danger"));
    question.returnValue = "";
    question.addEventListener("close", () => {
      if (question.returnValue !== "yes") { button.focus(); return; }
      let field = $("[name=confirmed]", form);
      if (!field) {
        field = document.createElement("input");
        field.type = "hidden"; field.name = "confirmed"; field.value = "yes";
        form.append(field);
      }
      form.dataset.confirmed = "yes";
      form.requestSubmit(button);
    }, { once: true });
    question.showModal();
  });
  // The second click of a double click sends nothing.
  document.addEventListener("submit", event => {
    if (event.defaultPrevented || event.target.method !== "post") return;
    if (event.target.dataset.sent === "yes") { event.preventDefault(); return; }
    event.target.dataset.sent = "yes";
  });
  addEventListener("pageshow", () => $$("form[data-sent]").forEach(f => { delete f.dataset.sent; delete f.dataset.confirmed; $("[name=confirmed][type=hidden]", f)?.remove(); }));

  // --- keys
  const help = $("#help"), helpButton = $("[data-help]");
  if (helpButton && help) {
    helpButton.hidden = false;
    helpButton.addEventListener("click", () => help.showModal());
  }
  let going = 0;
  function step(by) {
    const rows = $$("a.row");
    if (!rows.length) return;
    const at = rows.indexOf(document.activeElement);
    const next = rows[at < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, at + by))];
    next.focus({ preventScroll: true });
    next.scrollIntoView({ block: "nearest" });
  }
  function decide(key) {
    const target = $(`[data-key="${key}"]`);
    if (!target) return false;
    if (target.tagName === "A") { target.click(); return true; }
    const note = $("textarea[name=note]", target.form);
    if (note && !note.value.trim()) {
      note.focus();
      toast("Say why, then press Ctrl+Enter or choose again.");
      note.dataset.then = key;
      return true;
    }
    target.form.requestSubmit(target);
    return true;
  }
  // A key that moved the cursor into a field repeats while it is down, and types nothing.
  let down = "";
  document.addEventListener("keyup", () => { down = ""; });
  document.addEventListener("keydown", event => {
    const typing = event.target.closest?.("input, textarea, select, [contenteditable]");
    if (typing && event.repeat && event.key === down) { event.preventDefault(); return; }
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && typing?.dataset.then) {
      event.preventDefault();
      decide(typing.dataset.then);
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || $("dialog[open]")) return;
    if (event.key === "Escape" && typing) { typing.blur(); return; }
    if (typing) return;
    if (going && Date.now() - going < 1500) {
      going = 0;
      const area = $(`[data-go="${CSS.escape(event.key)}"]`);
      if (area) { event.preventDefault(); area.click(); return; }
    }
    switch (event.key) {
      case "g": going = Date.now(); return;
      case "j": step(1); break;
      case "k": step(-1); break;
      case "/": { const q = $("[data-search]"); if (q) { q.focus(); q.select(); } else location.href = "/emails#q"; break; }
      case "?": help?.showModal(); break;
      case "u": { const up = $("[data-up]") || $(".areas [aria-current=page]"); if (up) up.click(); break; }
      case "a": case "r": case "h": case "d": case "e": if (!decide(event.key)) return; break;
      default: return;
    }
    down = event.key;
    event.preventDefault();
  });
  // "/" on a page without a search field leads here. Other ways keep the shortcuts of the page.
  if (location.hash === "#q") { down = "/"; $("[data-search]")?.focus({ preventScroll: true }); }

  // --- htmx
  document.addEventListener("htmx:configRequest", event => {
    if (event.detail.verb !== "get") return;
    for (const [name, value] of Array.from(event.detail.formData.entries())) if (value === "") event.detail.formData.delete(name);
  });
  for (const kind of ["htmx:responseError", "htmx:sendError", "htmx:timeout"]) {
    document.addEventListener(kind, event => {
      if (event.detail.xhr?.status === 401) return;
      const retry = event.detail.elt?.matches?.("[data-live]");
      toast(retry ? "This page could not be refreshed; what it shows may be old." : "That did not work. Try again in a moment.");
    });
  }
  // What somebody has begun to use since it was asked for anew stays as it is.
  document.addEventListener("htmx:beforeSwap", event => {
    if (event.detail.requestConfig?.triggeringEvent?.type !== "refresh") return;
    const element = event.detail.target, note = $("form[data-confirm-form] [name=note]", element);
    if (note ? !note.value.trim() : !busy(element)) return;
    event.detail.shouldSwap = false;
    if (note) warn(note.form); else setTimeout(() => refresh(element), 2000);
  });
  // warn says above what is being written that it is about something else by now.
  function warn(form) {
    if ($(".stale", form)) return;
    const line = document.createElement("p");
    line.className = "notice stale";
    line.textContent = "This email has changed since you began to write; look at its state above before you decide.";
    form.prepend(line);
  }
  // A page that was made again keeps what is typed and where one is.
  document.addEventListener("htmx:afterSwap", () => {
    const status = $("#status[data-seen]"), form = $("form[data-confirm-form]");
    if (!status) return;
    const looked = $("[name=seen]", form || document)?.value || "";
    if (looked === status.dataset.seen) return;
    const decision = $("#decision");
    if (!decision || question?.open) return;
    if (form && $("[name=note]", form).value.trim()) {
      warn(form);
      return;
    }
    if (form || decision.hidden && status.classList.contains("s-quarantined")) window.htmx.trigger(decision, "refresh");
  });

  // --- what has changed
  const state = $("[data-live-state]");
  let stream, again, tries = 0;
  const due = new Map();
  function busy(element) {
    const focused = document.activeElement;
    return $("dialog[open]") || $("details.act[open], input[name=pick]:checked", element) || focused && element.contains(focused) && focused.matches("input, textarea, select");
  }
  function refresh(element) {
    if (!element.isConnected) return;
    if (busy(element)) { setTimeout(() => refresh(element), 2000); return; }
    window.htmx.trigger(element, "refresh");
  }
  function changed(topics) {
    for (const element of $$("[data-live]")) {
      if (!topics.includes("everything") && !element.dataset.live.split(" ").some(t => topics.includes(t))) continue;
      const pause = 1000 * Number(element.dataset.livePause || 0), key = element.id, entry = due.get(key) || { last: 0 };
      if (entry.timer) continue;
      const wait = Math.max(0, entry.last + pause - Date.now());
      entry.timer = setTimeout(() => {
        due.set(key, { last: Date.now() });
        const now = document.getElementById(key);
        if (now) refresh(now);
      }, wait);
      due.set(key, entry);
    }
  }
  function say(live) {
    if (!state) return;
    state.hidden = false;
    state.classList.toggle("off", !live);
    $(".live-text", state).textContent = live ? "live" : "not live";
  }
  function listen() {
    clearTimeout(again);
    if (stream || document.hidden) return;
    stream = new EventSource(document.body.dataset.events);
    stream.addEventListener("open", () => { tries = 0; say(true); });
    stream.addEventListener("changed", event => changed(event.data.split(" ")));
    stream.addEventListener("error", () => {
      if (stream.readyState !== EventSource.CLOSED) return;
      stream = null;
      say(false);
      // An expired session is found out by asking for the page itself.
      changed(["everything"]);
      again = setTimeout(listen, Math.min(60000, 5000 * 2 ** tries++));
    });
  }
  if (document.body.dataset.events && window.EventSource) {
    const start = () => window.htmx ? listen() : setTimeout(start, 50);
    start();
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) { listen(); return; }
      stream?.close();
      stream = null;
    });
    addEventListener("pagehide", () => { stream?.close(); stream = null; });
  }
})();
