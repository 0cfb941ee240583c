/**
 * Chooses what is shown: a page by its address, the login where nobody is logged in, an error where the server does not answer.
 * The project's pages are loaded when they are first opened.
 */

import { useComputed } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { lazily } from "./lazily.tsx";
import { go, here, hrefOf, route } from "./navigation.ts";
import { Join } from "./pages/join.tsx";
import { ExpiredDialog, Login } from "./pages/login.tsx";
import { Projects } from "./pages/projects.tsx";
import { format } from "./routes.ts";
import { bootError, expired, me, whoAmI } from "./session.ts";
import { Button, Loading } from "./ui/controls.tsx";
import { MenuHost } from "./ui/menu.tsx";
import { ProfileHost } from "./ui/profile.tsx";
import { Message } from "./ui/shell.tsx";
import { Toasts } from "./ui/toasts.tsx";

const ProjectPage = lazily("the project", () => import("./project/page.tsx").then((module) => module.ProjectPage));
const HistoryPage = lazily("the history", () => import("./pages/history.tsx").then((module) => module.HistoryPage));
const ConflictsPage = lazily("the conflicts", () =>
  import("./pages/conflicts.tsx").then((module) => module.ConflictsPage),
);
const SettingsPage = lazily("the settings", () => import("./pages/settings.tsx").then((module) => module.SettingsPage));

export function App() {
  return (
    <>
      <Page />
      {expired.value && <ExpiredDialog />}
      <ProfileHost />
      <MenuHost />
      <Toasts />
    </>
  );
}

function Page() {
  const at = route.value;
  const known = useComputed(() => me.value);
  const away = known.value === null && at.page !== "login" && at.page !== "join";
  useEffect(() => {
    if (away) go({ page: "login", next: format(here()) || null }, "replace");
  }, [away]);
  if (at.page === "join") return <Join invite={at.invite} />;
  if (bootError.value) return <Unreachable />;
  if (known.value === undefined) return <Loading what="Quire" />;
  if (at.page === "login") return <Login next={at.next} />;
  if (away) return null;
  switch (at.page) {
    case "projects":
      return <Projects />;
    case "project":
      return <ProjectPage key={at.project} project={at.project} />;
    case "history":
      return <HistoryPage key={at.project} project={at.project} />;
    case "conflicts":
      return <ConflictsPage key={at.project} project={at.project} id={at.id} />;
    case "settings":
      return <SettingsPage key={at.project} project={at.project} />;
    case "unknown":
      return <Nowhere address={at.address} />;
  }
}

function Unreachable() {
  const error = bootError.value;
  return (
    <Message
      icon="offline"
      title={error?.status === 0 ? "The server cannot be reached" : "The server could not answer"}
      actions={
        <Button kind="primary" onClick={() => void whoAmI()}>
          Try again
        </Button>
      }
    >
      <p>{error?.message}</p>
      <p>
        If it is yours: is <code>quire serve</code> still running?
      </p>
    </Message>
  );
}

function Nowhere({ address }: { address: string }) {
  return (
    <Message
      icon="search"
      title="There is no such page"
      actions={
        <a class="button primary" href={hrefOf({ page: "projects" })}>
          All projects
        </a>
      }
    >
      <p>
        Nothing lives at <code>{address}</code>. The link may be mistyped or old.
      </p>
    </Message>
  );
}
