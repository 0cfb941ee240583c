/** A question that must be answered before something goes on. */

import { signal } from "@preact/signals";
import { Button } from "../ui/controls.tsx";
import { Dialog } from "../ui/dialog.tsx";

interface Question {
  title: string;
  text: string;
  yes: string;
  no: string;
  danger: boolean;
  answer: (yes: boolean) => void;
}

const question = signal<Question | null>(null);

export function ask(asked: {
  title: string;
  text: string;
  yes: string;
  no?: string;
  danger?: boolean;
}): Promise<boolean> {
  return new Promise((resolve) => {
    question.value = {
      no: "Cancel",
      danger: false,
      ...asked,
      answer: (yes) => {
        question.value = null;
        resolve(yes);
      },
    };
  });
}

export function AskHost() {
  const asked = question.value;
  if (asked === null) return null;
  return (
    <Dialog title={asked.title} onClose={() => asked.answer(false)}>
      <p>{asked.text}</p>
      <footer>
        <Button onClick={() => asked.answer(false)}>{asked.no}</Button>
        <Button kind={asked.danger ? "danger" : "primary"} onClick={() => asked.answer(true)}>
          {asked.yes}
        </Button>
      </footer>
    </Dialog>
  );
}
