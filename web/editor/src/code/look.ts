/** How text looks: colours are the page's own variables, so that light and dark need no second theme. */

import { HighlightStyle, syntaxHighlighting } from "@codemirror/language";
import type { Extension } from "@codemirror/state";
import { EditorView } from "@codemirror/view";
import { tags } from "@lezer/highlight";

const v = (name: string): string => `var(--${name})`;

const highlight = HighlightStyle.define([
  { tag: [tags.keyword, tags.modifier, tags.operatorKeyword, tags.controlKeyword], color: v("code-keyword") },
  { tag: [tags.string, tags.special(tags.string), tags.character, tags.attributeValue], color: v("code-string") },
  { tag: [tags.regexp, tags.escape], color: v("code-escape") },
  { tag: [tags.number, tags.bool, tags.null, tags.atom, tags.unit, tags.color], color: v("code-number") },
  { tag: [tags.comment, tags.docComment], color: v("code-comment"), fontStyle: "italic" },
  {
    tag: [tags.function(tags.variableName), tags.function(tags.propertyName), tags.macroName],
    color: v("code-function"),
  },
  { tag: [tags.definition(tags.function(tags.variableName))], color: v("code-function"), fontWeight: "600" },
  { tag: [tags.typeName, tags.className, tags.namespace, tags.tagName], color: v("code-type") },
  { tag: [tags.propertyName, tags.attributeName, tags.labelName], color: v("code-property") },
  { tag: [tags.definition(tags.variableName), tags.self], color: v("code-variable") },
  { tag: [tags.operator, tags.punctuation, tags.separator, tags.bracket, tags.angleBracket], color: v("code-quiet") },
  { tag: [tags.meta, tags.annotation, tags.processingInstruction], color: v("code-meta") },
  { tag: [tags.heading], color: v("code-heading"), fontWeight: "700" },
  { tag: [tags.strong], fontWeight: "700" },
  { tag: [tags.emphasis], fontStyle: "italic" },
  { tag: [tags.strikethrough], textDecoration: "line-through" },
  { tag: [tags.link, tags.url], color: v("code-link"), textDecoration: "underline" },
  { tag: [tags.monospace], color: v("code-string") },
  { tag: [tags.quote], color: v("code-comment") },
  { tag: [tags.inserted], color: v("good") },
  { tag: [tags.deleted, tags.invalid], color: v("bad") },
]);

const rules = {
  "&": { height: "100%", backgroundColor: v("paper"), color: v("ink"), fontSize: "13px" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: v("mono"), lineHeight: "1.6", overflow: "auto" },
  ".cm-content": { padding: "8px 0", caretColor: v("accent-strong") },
  ".cm-line": { padding: "0 16px 0 8px" },
  ".cm-cursor, .cm-dropCursor": { borderLeftColor: v("accent-strong"), borderLeftWidth: "2px" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground, ::selection": {
    backgroundColor: `${v("selection")} !important`,
  },
  ".cm-activeLine": { backgroundColor: v("active-line") },
  ".cm-gutters": { backgroundColor: v("paper"), color: v("ink-faint"), border: "none", paddingLeft: "4px" },
  ".cm-lineNumbers .cm-gutterElement": { padding: "0 4px 0 10px", minWidth: "34px" },
  ".cm-activeLineGutter": { backgroundColor: "transparent", color: v("ink") },
  ".cm-foldGutter .cm-gutterElement": { padding: "0 3px", cursor: "pointer", opacity: "0.6" },
  ".cm-foldPlaceholder": {
    backgroundColor: v("raised"),
    border: `1px solid ${v("line")}`,
    color: v("ink-soft"),
    padding: "0 6px",
    margin: "0 2px",
  },
  "&.cm-focused .cm-matchingBracket": { backgroundColor: v("bracket"), outline: `1px solid ${v("line-strong")}` },
  "&.cm-focused .cm-nonmatchingBracket": { backgroundColor: "transparent", color: v("bad") },
  ".cm-selectionMatch": { backgroundColor: v("match") },
  ".cm-searchMatch": { backgroundColor: v("found"), outline: "none", borderRadius: "2px" },
  ".cm-searchMatch.cm-searchMatch-selected": { backgroundColor: v("found-now") },
  ".cm-panels": { backgroundColor: v("panel"), color: v("ink"), fontFamily: v("sans") },
  ".cm-panels.cm-panels-top": { borderBottom: `1px solid ${v("line")}` },
  ".cm-panels.cm-panels-bottom": { borderTop: `1px solid ${v("line")}` },
  ".cm-panel.cm-search": { padding: "8px 32px 8px 12px", fontSize: "13px" },
  ".cm-panel.cm-search label": {
    fontSize: "12px",
    display: "inline-flex",
    alignItems: "center",
    gap: "4px",
    marginRight: "8px",
  },
  ".cm-panel.cm-search input[type=checkbox]": { accentColor: v("accent"), margin: "0" },
  ".cm-panel button[name=close]": {
    color: v("ink-soft"),
    fontSize: "18px",
    padding: "4px 8px",
    cursor: "pointer",
    right: "6px",
    top: "6px",
  },
  ".cm-textfield": {
    backgroundColor: v("paper"),
    color: v("ink"),
    border: `1px solid ${v("line-strong")}`,
    borderRadius: "5px",
    padding: "4px 8px",
    fontSize: "13px",
  },
  ".cm-textfield:focus": { outline: `2px solid ${v("focus")}`, outlineOffset: "-1px" },
  ".cm-button": {
    backgroundColor: v("raised"),
    backgroundImage: "none",
    color: v("ink"),
    border: `1px solid ${v("line-strong")}`,
    borderRadius: "5px",
    padding: "3px 10px",
    fontSize: "12px",
  },
  ".cm-button:active": { backgroundImage: "none" },
  ".cm-tooltip": {
    backgroundColor: v("raised"),
    color: v("ink"),
    border: `1px solid ${v("line-strong")}`,
    borderRadius: "6px",
    boxShadow: v("shadow"),
    overflow: "hidden",
  },
  ".cm-tooltip.cm-tooltip-autocomplete > ul": { fontFamily: v("mono"), fontSize: "12.5px" },
  ".cm-tooltip-autocomplete ul li[aria-selected]": { backgroundColor: v("chosen"), color: v("ink") },
  ".cm-peer-selection": { backgroundColor: "color-mix(in srgb, var(--peer) 28%, transparent)" },
  ".cm-peer": {
    position: "relative",
    borderLeft: "2px solid var(--peer)",
    marginLeft: "-1px",
    marginRight: "-1px",
    pointerEvents: "none",
  },
  ".cm-peer::before": {
    content: '""',
    position: "absolute",
    left: "-4px",
    top: "-2px",
    width: "6px",
    height: "6px",
    borderRadius: "3px",
    backgroundColor: "var(--peer)",
    pointerEvents: "auto",
  },
  ".cm-peer::after": {
    content: "attr(data-name)",
    pointerEvents: "none",
    position: "absolute",
    left: "-2px",
    bottom: "100%",
    padding: "0 6px",
    borderRadius: "4px 4px 4px 0",
    backgroundColor: "var(--peer)",
    color: "var(--peer-ink)",
    font: `600 11px/17px ${v("sans")}`,
    whiteSpace: "nowrap",
    zIndex: "20",
    opacity: "0",
    transition: "opacity 0.15s",
  },
  ".cm-line:first-child .cm-peer::after": { bottom: "auto", top: "100%", borderRadius: "0 4px 4px 4px" },
  ".cm-peer.fresh::after, .cm-peer:hover::after": { opacity: "1" },
};

const light = EditorView.theme(rules, { dark: false });
const dark = EditorView.theme(rules, { dark: true });

/** `isDark` decides only about what CodeMirror draws by itself (checkboxes, scrollbars). */
export function look(isDark: boolean): Extension {
  return [isDark ? dark : light, syntaxHighlighting(highlight)];
}
