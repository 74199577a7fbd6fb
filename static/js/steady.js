// A swap that changes only what differs: hx-swap="steady". Focus, selection, scroll positions, opened details and text
// that somebody is typing stay as they are, however often the page looks again.
(function () {
  "use strict";
  if (!window.htmx) return;

  var KEPT = { DETAILS: ["open"], TEXTAREA: [], SELECT: [] };

  function kept(element, name) {
    if (name === "hidden" && element.hasAttribute("data-scripted")) return true;
    return name === "data-follow" || (KEPT[element.nodeName] || []).indexOf(name) >= 0;
  }

  function key(node) {
    return node.nodeName + "#" + (node.id || "");
  }

  function attributes(have, want) {
    Array.from(want.attributes).forEach(function (each) {
      if (!kept(have, each.name) && have.getAttribute(each.name) !== each.value) have.setAttribute(each.name, each.value);
    });
    Array.from(have.attributes).forEach(function (each) {
      if (!kept(have, each.name) && !want.hasAttribute(each.name)) have.removeAttribute(each.name);
    });
  }

  function one(have, want, added) {
    if (have.nodeType !== Node.ELEMENT_NODE) {
      if (have.nodeValue !== want.nodeValue) have.nodeValue = want.nodeValue;
      return;
    }
    if (have.isEqualNode(want)) return;
    attributes(have, want);
    if (have.nodeName !== "TEXTAREA" && have.nodeName !== "SELECT") children(have, want, added);
  }

  // Pairs of what stays, in order: the longest common run of kinds and ids, where an element outweighs any white space.
  function pairs(old, fresh) {
    var found = [], from = 0, end = 0;
    while (from < old.length && from < fresh.length && key(old[from]) === key(fresh[from])) found.push([from, from++]);
    var tail = [];
    while (old.length - end > from && fresh.length - end > from && key(old[old.length - 1 - end]) === key(fresh[fresh.length - 1 - end])) {
      end++;
      tail.unshift([old.length - end, fresh.length - end]);
    }
    var rows = old.length - end - from, columns = fresh.length - end - from, best = [];
    for (var i = rows; i >= 0; i--) {
      best[i] = [];
      for (var j = columns; j >= 0; j--) {
        if (i === rows || j === columns) { best[i][j] = 0; continue; }
        var node = old[from + i];
        var weight = key(node) === key(fresh[from + j]) ? (node.nodeType === Node.ELEMENT_NODE ? 1000 : 1) : 0;
        best[i][j] = Math.max(weight && weight + best[i + 1][j + 1], best[i + 1][j], best[i][j + 1]);
      }
    }
    for (var r = 0, c = 0; r < rows && c < columns;) {
      if (best[r][c] === best[r + 1][c]) r++;
      else if (best[r][c] === best[r][c + 1]) c++;
      else found.push([from + r++, from + c++]);
    }
    return found.concat(tail);
  }

  function children(have, want, added) {
    var old = Array.from(have.childNodes), fresh = Array.from(want.childNodes);
    var stays = pairs(old, fresh), kept = new Map(), staying = new Set();
    stays.forEach(function (pair) { kept.set(fresh[pair[1]], old[pair[0]]); staying.add(old[pair[0]]); });
    old.forEach(function (each) {
      if (staying.has(each)) return;
      if (each.nodeType === Node.ELEMENT_NODE) keepUnsent(each);
      each.remove();
    });
    var at = have.firstChild;
    fresh.forEach(function (next) {
      var found = kept.get(next);
      if (found) {
        at = found.nextSibling;
        one(found, next, added);
      } else {
        have.insertBefore(next, at);
        if (next.nodeType === Node.ELEMENT_NODE) added.push(next);
      }
    });
  }

  // Text that somebody typed outlives its form, which a colleague may have closed: it is shown as not sent, and is back in
  // the form when that comes back.
  var unsent = {};
  function keepUnsent(gone) {
    Array.from(gone.querySelectorAll("textarea")).concat(gone.nodeName === "TEXTAREA" ? [gone] : []).forEach(function (field) {
      if (field.id && !field.readOnly && field.value !== field.defaultValue) unsent[field.id] = field.value;
    });
  }
  function showUnsent() {
    Object.keys(unsent).forEach(function (id) {
      var field = document.getElementById(id);
      if (field && !field.readOnly && field.value === field.defaultValue) field.value = unsent[id];
      if (field && !field.readOnly) delete unsent[id];
    });
    var notice = document.getElementById("unsent"), texts = Object.keys(unsent).map(function (id) { return unsent[id]; });
    if (!notice) return;
    notice.hidden = !texts.length;
    notice.querySelector("textarea").value = texts.join("\n\n");
  }

  htmx.defineExtension("steady", {
    isInlineSwap: function (style) { return style === "steady"; },
    handleSwap: function (style, target, fragment) {
      if (style !== "steady") return false;
      var added = [];
      children(target, fragment, added);
      showUnsent();
      return added;
    },
  });
})();
