// Progressive help: copy buttons, theme, shortcuts, logs that stop following when scrolled up. Every page works without it.
(function () {
  "use strict";

  function on(type, selector, handler) {
    document.addEventListener(type, function (event) {
      var target = event.target instanceof Element ? event.target.closest(selector) : null;
      if (target) handler(event, target);
    });
  }

  function say(text) {
    var live = document.getElementById("live");
    if (live) live.textContent = text;
  }

  on("click", "[data-copy]", function (event, button) {
    var source = document.getElementById(button.dataset.copy);
    if (!source || !navigator.clipboard) return;
    navigator.clipboard.writeText(source.textContent.trim()).then(function () {
      say("Copied.");
      var label = button.querySelector("[data-label]");
      if (!label) return;
      var before = label.textContent;
      label.textContent = "Copied";
      setTimeout(function () { label.textContent = before; }, 1500);
    });
  });

  on("click", "[data-theme-toggle]", function () {
    var root = document.documentElement;
    var dark = root.dataset.theme
      ? root.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    try { localStorage.setItem("holdfast-theme", root.dataset.theme); } catch (error) { /* not kept */ }
    say(dark ? "Light theme." : "Dark theme.");
  });

  // A second press of the same button sends nothing: the first one is on its way.
  var sent = new WeakSet();
  on("submit", "form[method=post]", function (event, form) {
    if (sent.has(form)) { event.preventDefault(); return; }
    sent.add(form);
    setTimeout(function () { sent.delete(form); }, 8000);
  });
  window.addEventListener("pageshow", function () { sent = new WeakSet(); });

  on("click", "[data-dialog]", function (event, button) {
    var dialog = document.getElementById(button.dataset.dialog);
    if (dialog && dialog.showModal) { event.preventDefault(); dialog.showModal(); }
  });
  on("click", "[data-close]", function (event, button) {
    var dialog = button.closest("dialog");
    if (dialog) { event.preventDefault(); dialog.close(); }
  });

  // Shortcuts are data: the page lists them in the dialog that "?" opens.
  var waiting = "";
  document.addEventListener("keydown", function (event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    var where = event.target;
    if (where instanceof Element && where.closest("input, textarea, select, [contenteditable], dialog[open]")) return;
    var keys = (waiting ? waiting + " " : "") + event.key;
    waiting = event.key === "g" ? "g" : "";
    var item = document.querySelector('[data-shortcut="' + CSS.escape(keys) + '"]');
    if (!item) return;
    event.preventDefault();
    if (item.dataset.focus) {
      var field = document.getElementById(item.dataset.focus);
      if (field) field.focus();
    } else {
      item.click();
    }
  });

  function followLogs() {
    document.querySelectorAll("[data-follow]").forEach(function (log) {
      if (log.dataset.follow !== "off") log.scrollTop = log.scrollHeight;
      showFollowing(log);
    });
  }
  document.addEventListener("scroll", function (event) {
    var log = event.target;
    if (!(log instanceof Element) || !log.matches("[data-follow]")) return;
    var atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 24;
    log.dataset.follow = atEnd ? "on" : "off";
    showFollowing(log);
  }, true);
  function showFollowing(log) {
    var note = document.getElementById(log.id + "-following");
    if (note) note.hidden = log.dataset.follow !== "off";
  }
  on("click", "[data-follow-again]", function (event, button) {
    var log = document.getElementById(button.dataset.followAgain);
    if (!log) return;
    log.dataset.follow = "on";
    log.scrollTop = log.scrollHeight;
    showFollowing(log);
    log.focus();
  });
  on("click", "[data-print]", function () { window.print(); });

  // An address that is passed on holds what was asked for, not every empty field of the form.
  document.addEventListener("htmx:configRequest", function (event) {
    if (event.detail.verb !== "get") return;
    Array.from(event.detail.formData.entries()).forEach(function (each) {
      if (each[1] === "") event.detail.formData.delete(each[0]);
    });
  });

  document.addEventListener("htmx:afterSettle", followLogs);

  // After a refused form the first field in error has the focus (autofocus); its words are read out with it.
  var wrong = document.querySelector("[aria-invalid=true]:not([type=hidden])");
  if (wrong && document.activeElement !== wrong) wrong.focus();
  followLogs();
})();
