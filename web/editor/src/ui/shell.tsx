/** The frame of every page that is not the editor: the top bar, the banner about the connection, a full page of one message. */

import type { ComponentChildren } from "preact";
import { reachable } from "../api/http.ts";
import { hrefOf } from "../navigation.ts";
import { leave, mayRename, me } from "../session.ts";
import { choice, theme, toggleTheme } from "../theme.ts";
import { Avatar, Button, IconButton } from "./controls.tsx";
import { Icon, type IconName, Mark } from "./icons.tsx";
import { type MenuEntry, openMenuBelow } from "./menu.tsx";
import { editProfile } from "./profile.tsx";
import { tell } from "./toasts.tsx";

export function TopBar({
  children,
  end,
  more = [],
}: {
  children?: ComponentChildren;
  end?: ComponentChildren;
  more?: MenuEntry[];
}) {
  return (
    <header class="topbar">
      <a class="home" href={hrefOf({ page: "projects" })} aria-label="Quire, all projects" title="All projects">
        <Mark />
      </a>
      <div class="topbar-main">{children}</div>
      <div class="topbar-end">
        {end}
        <ThemeButton />
        <MeButton more={more} />
      </div>
    </header>
  );
}

function ThemeButton() {
  const dark = theme.value === "dark";
  const label = dark ? "Use the light theme" : "Use the dark theme";
  return (
    <IconButton
      icon={dark ? "sun" : "moon"}
      label={choice.value === "system" ? label : `${label} (as the system)`}
      onClick={toggleTheme}
    />
  );
}

function MeButton({ more }: { more: MenuEntry[] }) {
  const who = me.value;
  if (!who) return null;
  const entries: MenuEntry[] = [
    ...(mayRename.value ? [{ label: "Your name…", icon: "rename", run: editProfile } as const] : []),
    ...more,
    ...(mayRename.value || more.length > 0 ? ["line" as const] : []),
    { label: "Log out", icon: "out", run: () => void tell("Could not log out", leave) },
  ];
  return (
    <button
      type="button"
      class="me-button"
      aria-haspopup="menu"
      aria-label={`You are ${who.actor.name}`}
      onClick={(event) => openMenuBelow("You", entries, event.currentTarget)}
    >
      <Avatar actor={who.actor} note={who.role} />
    </button>
  );
}

/** Says once that the server does not answer; goes away by itself. */
export function ConnectionBanner({ retry }: { retry: () => void }) {
  if (reachable.value) return null;
  return (
    <div class="banner" role="alert">
      <Icon name="offline" />
      <span>The server cannot be reached. What you type is kept in this tab, and saved when it is back.</span>
      <Button kind="quiet" onClick={retry}>
        Try now
      </Button>
    </div>
  );
}

interface MessageProps {
  icon?: IconName;
  title: string;
  children: ComponentChildren;
  actions?: ComponentChildren;
}

/** A page, or part of one, that says one thing and what to do next. */
export function Message({ icon = "warn", title, children, actions }: MessageProps) {
  return (
    <section class="message" aria-label={title}>
      <span class="message-icon">
        <Icon name={icon} size={28} />
      </span>
      <h1>{title}</h1>
      <div class="message-text">{children}</div>
      {actions && <div class="message-actions">{actions}</div>}
    </section>
  );
}
