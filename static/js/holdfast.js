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
  on("submit", "form[method=post]", function (event, form) {
    if (form.dataset.sent) { event.preventDefault(); return; }
    form.dataset.sent = "1";
    setTimeout(function () { delete form.dataset.sent; }, 8000);
  });
  window.addEventListener("pageshow", function () {
    document.querySelectorAll("form[data-sent]").forEach(function (form) { delete form.dataset.sent; });
  });

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
    });
  }
  document.addEventListener("scroll", function (event) {
    var log = event.target;
    if (!(log instanceof Element) || !log.matches("[data-follow]")) return;
    var atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 24;
    log.dataset.follow = atEnd ? "on" : "off";
  }, true);

  // A swap must not move the scroll position of a log that somebody reads, nor close what they opened.
  document.addEventListener("htmx:beforeSwap", function (event) {
    var target = event.detail.target;
    var open = [];
    var scrolled = {};
    target.querySelectorAll("details[open][id]").forEach(function (each) { open.push(each.id); });
    target.querySelectorAll("[data-follow][id]").forEach(function (each) {
      scrolled[each.id] = [each.dataset.follow, each.scrollTop];
    });
    target.holdfastKept = { open: open, scrolled: scrolled };
  });
  document.addEventListener("htmx:afterSettle", function (event) {
    var kept = event.detail.target.holdfastKept || (event.target && event.target.holdfastKept);
    if (kept) {
      kept.open.forEach(function (id) {
        var each = document.getElementById(id);
        if (each) each.open = true;
      });
      Object.keys(kept.scrolled).forEach(function (id) {
        var each = document.getElementById(id);
        if (each && kept.scrolled[id][0] === "off") {
          each.dataset.follow = "off";
          each.scrollTop = kept.scrolled[id][1];
        }
      });
    }
    followLogs();
  });

  document.querySelectorAll("[data-since]").forEach(function (each) {
    each.title = each.getAttribute("datetime") || each.title;
  });
  followLogs();
})();
