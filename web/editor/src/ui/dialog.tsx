/**
 * A modal dialog on the browser's own `<dialog>`: it traps the focus, closes with Escape, and gives the focus back.
 * `onClose` is called once, however it was closed; the caller then stops rendering it.
 */

import type { ComponentChildren } from "preact";
import { useId, useLayoutEffect, useRef } from "preact/hooks";
import { IconButton } from "./controls.tsx";

interface DialogProps {
  title: string;
  onClose: () => void;
  children: ComponentChildren;
  /** False: it stays until one of its own buttons decides. */
  dismissible?: boolean;
  wide?: boolean;
}

const FIELDS = ["input", "select", "textarea"].map((each) => `${each}:not(:disabled, [tabindex="-1"])`).join();

/** Where one begins: the first field, else what the dialog is for, else the way out of it that does nothing. */
function firstOf(dialog: HTMLElement): HTMLElement | null {
  return (
    dialog.querySelector<HTMLElement>(FIELDS) ??
    dialog.querySelector<HTMLElement>(".button.primary:not(:disabled)") ??
    dialog.querySelector<HTMLElement>("footer .button")
  );
}

export function Dialog({ title, onClose, children, dismissible = true, wide = false }: DialogProps) {
  const element = useRef<HTMLDialogElement>(null);
  const heading = useId();
  // Before the next key is heard: what is typed quickly belongs into the dialog.
  useLayoutEffect(() => {
    const before = document.activeElement;
    const dialog = element.current;
    dialog?.showModal();
    if (dialog) firstOf(dialog)?.focus();
    return () => {
      dialog?.close();
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  const cancelled = (event: Event) => {
    event.preventDefault();
    if (dismissible) onClose();
  };
  return (
    <dialog
      ref={element}
      class={wide ? "dialog wide" : "dialog"}
      aria-labelledby={heading}
      onCancel={cancelled}
      onMouseDown={(event) => {
        if (dismissible && event.target === element.current) onClose();
      }}
    >
      <div class="dialog-frame">
        <header>
          <h2 id={heading}>{title}</h2>
          {dismissible && <IconButton icon="close" label="Close" onClick={onClose} />}
        </header>
        {children}
      </div>
    </dialog>
  );
}
