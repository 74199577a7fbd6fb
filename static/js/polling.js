// Pages that look again by themselves: quiet while hidden, plain about it when Holdfast does not answer.
(function () {
  "use strict";

  function polls(event) {
    var from = event.detail && event.detail.elt;
    return from instanceof Element && from.hasAttribute("data-poll");
  }

  document.addEventListener("htmx:beforeRequest", function (event) {
    if (polls(event) && document.hidden) event.preventDefault();
  });

  var lost = null;
  function failed(event) {
    if (!polls(event)) {
      var refused = document.getElementById("no-answer");
      if (refused) refused.hidden = false;
      return;
    }
    lost = lost || new Date();
    var notice = document.getElementById("unanswered");
    if (!notice) return;
    notice.hidden = false;
    notice.querySelector("[data-since-when]").textContent = lost.toISOString().slice(11, 19) + " UTC";
  }
  ["htmx:sendError", "htmx:timeout", "htmx:responseError"].forEach(function (name) {
    document.addEventListener(name, failed);
  });
  // Before the swap: the answer may take away the very element that asked, and what it says afterwards is not heard here.
  document.addEventListener("htmx:beforeOnLoad", function (event) {
    if (event.detail.xhr.status >= 400 && event.detail.xhr.status !== 422) return;
    var notice = document.getElementById(polls(event) ? "unanswered" : "no-answer");
    if (notice) notice.hidden = true;
    if (polls(event)) lost = null;
  });

  // A session that ended leads to the sign-in, unless somebody was typing: what is not sent yet stays, and says what to do.
  function typed(field) {
    if (field.type === "hidden" || field.disabled || field.readOnly) return false;
    if (field.type === "checkbox" || field.type === "radio") return field.checked !== field.defaultChecked;
    if (field.options) return Array.from(field.options).some(function (each) { return each.selected !== each.defaultSelected; });
    return field.value !== field.defaultValue;
  }
  document.addEventListener("htmx:beforeOnLoad", function (event) {
    if (!polls(event) || !event.detail.xhr.getResponseHeader("HX-Redirect")) return;
    var fields = document.querySelectorAll("form[method=post] textarea, form[method=post] input, form[method=post] select");
    var unsent = document.getElementById("unsent");
    if (!Array.from(fields).some(typed) && (!unsent || unsent.hidden)) return;
    event.preventDefault();
    document.getElementById("ended").hidden = false;
  });

  // A change of state is said aloud once; numbers that move are not.
  var said = {};
  function announce() {
    document.querySelectorAll("[data-announce]").forEach(function (each) {
      var text = each.textContent.replace(/\s+/g, " ").trim();
      if (said[each.id] !== undefined && said[each.id] !== text) document.getElementById("live").textContent = text;
      said[each.id] = text;
    });
  }
  document.addEventListener("htmx:afterSettle", announce);
  announce();

  // "Undo begins." is over as soon as the migration stands elsewhere. Its place stays: no button moves under a pointer.
  function stood() {
    var at = document.querySelector("[data-shown]");
    return at && at.dataset.shown;
  }
  var first = stood();
  document.addEventListener("htmx:afterSettle", function () {
    if (stood() === first) return;
    document.querySelectorAll("[data-passing]").forEach(function (each) { each.classList.add("notice--past"); });
  });

  // "9 s ago" grows while the page stands still, so that an old page cannot look fresh.
  function words(seconds) {
    var parts = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]], shown = [], left = 2;
    parts.forEach(function (part) {
      var number = Math.floor(seconds / part[0]);
      seconds -= number * part[0];
      if (!number && left === 2) return;
      if (number && left > 0) shown.push(number + " " + part[1]);
      left -= 1;
    });
    return shown.join(" ") || "0 s";
  }
  setInterval(function () {
    if (document.hidden || !document.getSelection().isCollapsed) return;
    document.querySelectorAll("time[data-ago]").forEach(function (each) {
      var seconds = Math.floor((Date.now() - Date.parse(each.dateTime)) / 1000);
      var text = seconds >= 0 ? words(seconds) + " ago" : "in " + words(-seconds);
      if (each.textContent !== text) each.textContent = text;
    });
  }, 1000);
})();
