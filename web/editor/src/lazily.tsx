/** A component that is fetched when it is first shown; a failure to fetch it (a new version was installed) is said, with a way on. */

import { signal } from "@preact/signals";
import type { ComponentType } from "preact";
import { Button, Loading } from "./ui/controls.tsx";
import { Message } from "./ui/shell.tsx";

export function lazily<P extends object>(what: string, load: () => Promise<ComponentType<P>>): ComponentType<P> {
  const loaded = signal<ComponentType<P> | null>(null);
  const failed = signal(false);
  let asked = false;
  const ask = () => {
    asked = true;
    failed.value = false;
    load().then(
      (component) => {
        loaded.value = component;
      },
      () => {
        failed.value = true;
      },
    );
  };
  return function Lazy(props: P) {
    if (!asked) ask();
    const Component = loaded.value;
    if (Component) return <Component {...props} />;
    if (!failed.value) return <Loading what={what} />;
    return (
      <Message
        title={`Could not load ${what}`}
        actions={
          <>
            <Button kind="primary" onClick={() => location.reload()}>
              Reload the page
            </Button>
            <Button onClick={ask}>Try again</Button>
          </>
        }
      >
        <p>
          The server did not send a part of the page. It may be restarting, or it has been updated since you opened this
          tab.
        </p>
      </Message>
    );
  };
}
