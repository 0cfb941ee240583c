/** Menus: one that hangs from a button, and one that opens where the pointer is. Arrow keys, Home, End, Escape. */

import { signal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { Icon, type IconName } from "./icons.tsx";

export interface MenuItem {
  label: string;
  icon?: IconName;
  keys?: string;
  danger?: boolean;
  disabled?: boolean;
  checked?: boolean;
  run: () => void;
}

export type MenuEntry = MenuItem | "line";

interface Open {
  label: string;
  entries: MenuEntry[];
  x: number;
  y: number;
  from: Element | null;
}

const open = signal<Open | null>(null);

/** Opens a menu at a point of the window (left, top). */
export function openMenu(label: string, entries: MenuEntry[], x: number, y: number): void {
  open.value = { label, entries, x, y, from: document.activeElement };
}

export function openMenuBelow(label: string, entries: MenuEntry[], anchor: Element): void {
  const box = anchor.getBoundingClientRect();
  openMenu(label, entries, box.left, box.bottom + 4);
}

function closeMenu(): void {
  const from = open.value?.from;
  open.value = null;
  if (from instanceof HTMLElement) from.focus();
}

/** Stands once in the page and shows whichever menu is open. */
export function MenuHost() {
  return open.value && <Menu key={open.value} menu={open.value} />;
}

function Menu({ menu }: { menu: Open }) {
  const element = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    const box = element.current?.getBoundingClientRect();
    if (!box || !element.current) return;
    element.current.style.left = `${Math.max(4, Math.min(menu.x, innerWidth - box.width - 4))}px`;
    element.current.style.top = `${Math.max(4, Math.min(menu.y, innerHeight - box.height - 4))}px`;
    items(element.current)[0]?.focus();
  }, []);
  useEffect(() => {
    const outside = (event: Event) => {
      if (event.target instanceof Node && !element.current?.contains(event.target)) open.value = null;
    };
    addEventListener("pointerdown", outside, true);
    addEventListener("blur", outside);
    return () => {
      removeEventListener("pointerdown", outside, true);
      removeEventListener("blur", outside);
    };
  }, []);
  return (
    <div ref={element} class="menu" role="menu" aria-label={menu.label} tabIndex={-1} onKeyDown={onKey}>
      {menu.entries.map((entry, index) =>
        entry === "line" ? <hr key={`line-${index}`} /> : <Item key={entry.label} item={entry} />,
      )}
    </div>
  );
}

function Item({ item }: { item: MenuItem }) {
  const role = item.checked === undefined ? "menuitem" : "menuitemcheckbox";
  return (
    <button
      type="button"
      class={item.danger ? "menu-item danger" : "menu-item"}
      role={role}
      {...(item.checked !== undefined && { "aria-checked": item.checked })}
      disabled={item.disabled ?? false}
      tabIndex={-1}
      onClick={() => {
        closeMenu();
        item.run();
      }}
    >
      <span class="menu-icon">{item.checked ? <Icon name="check" /> : item.icon && <Icon name={item.icon} />}</span>
      <span class="menu-label">{item.label}</span>
      {item.keys && <kbd>{item.keys}</kbd>}
    </button>
  );
}

function items(menu: HTMLElement): HTMLButtonElement[] {
  return [...menu.querySelectorAll<HTMLButtonElement>("button:not(:disabled)")];
}

function onKey(event: KeyboardEvent): void {
  const menu = event.currentTarget as HTMLElement;
  const all = items(menu);
  const at = all.indexOf(document.activeElement as HTMLButtonElement);
  const step: Record<string, number> = {
    ArrowDown: (at + 1) % all.length,
    ArrowUp: (at - 1 + all.length) % all.length,
    Home: 0,
    End: all.length - 1,
  };
  const target = step[event.key];
  if (target !== undefined) all[target]?.focus();
  else if (event.key === "Escape" || event.key === "Tab") closeMenu();
  else return;
  event.preventDefault();
  event.stopPropagation();
}
