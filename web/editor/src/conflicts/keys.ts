/** Keys of a page, heard wherever nobody types. */

import { useEffect, useRef } from "preact/hooks";

/** `onKey` says whether it did something; `Ctrl+Enter` is heard everywhere. */
export function useKeys(onKey: (key: string) => boolean): void {
  const latest = useRef(onKey);
  latest.current = onKey;
  useEffect(() => {
    const heard = (event: KeyboardEvent) => {
      if (event.defaultPrevented || event.altKey || document.querySelector("dialog[open]")) return;
      const modified = event.ctrlKey || event.metaKey;
      const key = modified ? (event.key === "Enter" ? "Ctrl+Enter" : null) : event.key;
      if (key === null || (key !== "Ctrl+Enter" && isTyping(event.target))) return;
      if (latest.current(key)) event.preventDefault();
    };
    addEventListener("keydown", heard);
    return () => removeEventListener("keydown", heard);
  }, []);
}

function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target instanceof HTMLInputElement) return target.type !== "radio";
  return target.isContentEditable || target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement;
}
