// A swap that changes only what differs: hx-swap="steady". Focus, selection, scroll positions, opened details and text
// that somebody is typing stay as they are, however often the page looks again.
(function () {
  "use strict";
  if (!window.htmx) return;

  var KEPT = { DETAILS: ["open"], TEXTAREA: [], SELECT: [] };

  function kept(element, name) {
    return name === "data-follow" || (KEPT[element.nodeName] || []).indexOf(name) >= 0;
  }

  function same(have, want) {
    return have.nodeType === want.nodeType && have.nodeName === want.nodeName && (have.id || "") === (want.id || "");
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

  function children(have, want, added) {
    var wanted = {}, keyed = {};
    Array.from(want.children).forEach(function (each) { if (each.id) wanted[each.id] = true; });
    Array.from(have.children).forEach(function (each) {
      if (!each.id) return;
      if (wanted[each.id]) keyed[each.id] = each; else each.remove();
    });
    var at = have.firstChild;
    Array.from(want.childNodes).forEach(function (next) {
      var found = (next.id && keyed[next.id]) || ahead(at, next);
      if (!found) {
        have.insertBefore(next, at);
        if (next.nodeType === Node.ELEMENT_NODE) added.push(next);
        return;
      }
      // What stands between and has no id has gone.
      while (at && at !== found && !at.id && follows(at, found)) { var gone = at; at = at.nextSibling; gone.remove(); }
      if (at === found) at = at.nextSibling; else have.insertBefore(found, at);
      one(found, next, added);
    });
    while (at) { var rest = at; at = at.nextSibling; rest.remove(); }
  }

  function ahead(at, next) {
    for (; at && !at.id; at = at.nextSibling) if (same(at, next)) return at;
    return null;
  }

  function follows(node, later) {
    return Boolean(node.compareDocumentPosition(later) & Node.DOCUMENT_POSITION_FOLLOWING);
  }

  htmx.defineExtension("steady", {
    isInlineSwap: function (style) { return style === "steady"; },
    handleSwap: function (style, target, fragment) {
      if (style !== "steady") return false;
      var added = [];
      children(target, fragment, added);
      return added;
    },
  });
})();
