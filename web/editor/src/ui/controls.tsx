/** The small parts that everything is made of: buttons, fields, a copy field, avatars, a spinner. */

import { useSignal } from "@preact/signals";
import { type ComponentChildren, cloneElement, type VNode } from "preact";
import { useId } from "preact/hooks";
import type { Actor } from "../api/types.ts";
import { initials } from "../format.ts";
import { Icon, type IconName } from "./icons.tsx";

interface ButtonProps {
  children: ComponentChildren;
  onClick?: (event: MouseEvent) => void;
  kind?: "plain" | "primary" | "danger" | "quiet";
  type?: "button" | "submit";
  icon?: IconName;
  disabled?: boolean;
  busy?: boolean;
  title?: string;
}

export function Button({
  children,
  kind = "plain",
  type = "button",
  icon,
  busy = false,
  disabled,
  ...rest
}: ButtonProps) {
  return (
    <button type={type} class={`button ${kind}`} disabled={disabled || busy} aria-busy={busy} {...rest}>
      {busy ? <Spinner /> : icon && <Icon name={icon} />}
      <span>{children}</span>
    </button>
  );
}

interface IconButtonProps {
  icon: IconName;
  label: string;
  onClick?: (event: MouseEvent) => void;
  disabled?: boolean;
  pressed?: boolean;
  /** The keys that do the same, shown with the label. */
  keys?: string;
}

export function IconButton({ icon, label, keys, pressed, ...rest }: IconButtonProps) {
  return (
    <button
      type="button"
      class="icon-button"
      aria-label={label}
      title={keys ? `${label} (${keys})` : label}
      {...(pressed !== undefined && { "aria-pressed": pressed })}
      {...rest}
    >
      <Icon name={icon} />
    </button>
  );
}

interface FieldProps {
  label: string;
  hint?: string;
  error?: string | null;
  /** The one control that the label is for. */
  children: VNode;
}

/** One control with its label, what explains it and what is wrong with it. */
export function Field({ label, hint, error, children }: FieldProps) {
  const id = useId();
  const notes = [hint && `${id}-hint`, error && `${id}-error`].filter(Boolean).join(" ");
  return (
    <div class="field">
      <label class="field-label" for={id}>
        {label}
      </label>
      {cloneElement(children, {
        id,
        "aria-invalid": Boolean(error),
        ...(notes !== "" && { "aria-describedby": notes }),
      })}
      {hint && (
        <span class="field-hint" id={`${id}-hint`}>
          {hint}
        </span>
      )}
      {error && (
        <span class="field-error" id={`${id}-error`} role="alert">
          {error}
        </span>
      )}
    </div>
  );
}

export function CopyField({ label, value }: { label: string; value: string }) {
  const copied = useSignal(false);
  const copy = async () => {
    copied.value = await copyText(value);
    setTimeout(() => {
      copied.value = false;
    }, 2000);
  };
  return (
    <div class="copy-field">
      <input
        class="input mono"
        readOnly
        aria-label={label}
        value={value}
        onFocus={(event) => event.currentTarget.select()}
      />
      <Button icon={copied.value ? "check" : "copy"} onClick={() => void copy()}>
        {copied.value ? "Copied" : "Copy"}
      </Button>
    </div>
  );
}

/** The clipboard is there on secure origins only; on plain HTTP a selected text area does it. */
export async function copyText(text: string): Promise<boolean> {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(text);
    return true;
  }
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "offscreen";
  const holder = document.querySelector("dialog[open]") ?? document.body;
  holder.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  return done;
}

const COLOURS = ["#2f6f9f", "#8a5a12", "#7a4a9e", "#2d7a4b", "#a8443a", "#4a5fb0", "#8a3d6e", "#3c6d73"];

/** The server's colour for somebody; another one, always the same, where it gave none. */
export function colourOf(actor: Pick<Actor, "id" | "color">): string {
  if (actor.color && /^#[0-9a-f]{6}$/i.test(actor.color)) return actor.color;
  let sum = 0;
  for (const character of actor.id) sum = (sum * 31 + (character.codePointAt(0) ?? 0)) >>> 0;
  return COLOURS[sum % COLOURS.length] ?? "#4a5fb0";
}

/** Black or white, whichever can be read on `colour`. */
export function inkOn(colour: string): string {
  const value = Number.parseInt(colour.slice(1), 16);
  const luminance = 0.299 * (value >> 16) + 0.587 * ((value >> 8) & 255) + 0.114 * (value & 255);
  return luminance > 150 ? "#16181d" : "#ffffff";
}

export function Avatar({ actor, note }: { actor: Actor; note?: string }) {
  const colour = colourOf(actor);
  const label = note ? `${actor.name} (${note})` : actor.name;
  return (
    <span
      class={`avatar ${actor.kind ?? "person"}`}
      role="img"
      aria-label={label}
      title={label}
      style={{ backgroundColor: colour, color: inkOn(colour) }}
    >
      {initials(actor.name)}
    </span>
  );
}

export function Spinner() {
  return <span class="spinner" aria-hidden="true" />;
}

export function Loading({ what }: { what: string }) {
  return (
    <div class="loading" role="status">
      <Spinner /> Loading {what}…
    </div>
  );
}

export function Progress({ label, value }: { label: string; value: number | null }) {
  return <progress class="progress" aria-label={label} max={1} {...(value !== null && { value })} />;
}
