"use strict";
// Texts of a model as nodes: isolated in direction, what cannot be seen made visible, differences marked.
const texts = (() => {
  const DIFF_TOKENS = 700; // the word diff is quadratic; longer changed spans are marked whole

  const el = (name, className, ...children) => {
    const node = document.createElement(name);
    if (className) node.className = className;
    node.append(...children); // strings become text nodes
    return node;
  };

  // Characters that change what is seen without being seen: shown as their code point instead.
  const UNSEEN = /[\u0000-\u0008\u000B-\u001F\u007F-\u009F\u00AD\u200B\u202A-\u202E\u2060\u2066-\u2069\uFEFF]/;
  const code = (c) => `U+${c.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
  const RUN = new RegExp(`((${UNSEEN.source})\\2*)`); // many of one kind are told once, with their number
  const pieces = (text) => {
    const parts = text.split(RUN), nodes = []; // text, run, its first character, text …
    for (let i = 0; i < parts.length; i += 3) {
      if (parts[i]) nodes.push(parts[i]);
      if (i + 1 === parts.length) break;
      const n = parts[i + 1].length;
      nodes.push(el("span", "unseen", code(parts[i + 2]) + (n > 1 ? ` × ${n.toLocaleString("en")}` : "")));
    }
    return nodes;
  };
  const modelText = (name, className, ...children) => {
    const node = el(name, className, ...children);
    node.dir = "auto";
    return node;
  };

  const TOKEN = /[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}]|(?:(?![\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}])[\p{L}\p{N}\p{M}_])+|\s+|[^]/gu;
  const words = (text) => text.match(TOKEN) ?? [];

  // Marks for each side: true where a token has no partner in a longest common subsequence.
  const differ = (a, b) => {
    const changedA = new Array(a.length).fill(true), changedB = new Array(b.length).fill(true);
    let start = 0, endA = a.length, endB = b.length;
    while (start < endA && start < endB && a[start] === b[start]) { changedA[start] = changedB[start] = false; start++; }
    while (endA > start && endB > start && a[endA - 1] === b[endB - 1]) { changedA[--endA] = changedB[--endB] = false; }
    const n = endA - start, m = endB - start;
    if (!n || !m || n > DIFF_TOKENS || m > DIFF_TOKENS) return [changedA, changedB];
    const width = m + 1, best = new Uint16Array((n + 1) * width);
    for (let i = n - 1; i >= 0; i--) {
      for (let j = m - 1; j >= 0; j--) {
        best[i * width + j] = a[start + i] === b[start + j] ? best[(i + 1) * width + j + 1] + 1
          : Math.max(best[(i + 1) * width + j], best[i * width + j + 1]);
      }
    }
    for (let i = 0, j = 0; i < n && j < m;) {
      if (a[start + i] === b[start + j]) { changedA[start + i++] = false; changedB[start + j++] = false; }
      else if (best[(i + 1) * width + j] >= best[i * width + j + 1]) i++;
      else j++;
    }
    return [changedA, changedB];
  };

  const marked = (tokens, changed, tag) => {
    const nodes = [];
    for (let i = 0; i < tokens.length;) {
      let j = i;
      while (j < tokens.length && changed[j] === changed[i]) j++;
      const run = pieces(tokens.slice(i, j).join(""));
      nodes.push(...(changed[i] ? [el(tag, "", ...run)] : run));
      i = j;
    }
    return nodes;
  };

  return { el, modelText, pieces, words, differ, marked };
})();
