/** What went wrong with a commit, in parts. PURE. The server tells it as sentences, and a command at the end where one helps. */

export interface Trouble {
  /** What happened, in one sentence. */
  sentence: string;
  /** The other sentences, "" when there are none. */
  more: string;
  /** What to run on the server's machine, to be copied. */
  command: string | null;
}

const UNKNOWN = "The last commit failed.";
const MORE_UNKNOWN = "Nothing is lost; it is tried again.";

export function troubleOf(detail: string | null | undefined): Trouble {
  const told = detail?.trim() ?? "";
  if (told === "") return { sentence: UNKNOWN, more: MORE_UNKNOWN, command: null };
  const start = told.search(/(?<=(^|\s))git -C \S/);
  const command = start < 0 ? null : told.slice(start).trim();
  const text = (start < 0 ? told : told.slice(0, start)).trim();
  const end = text.search(/[.!?](?=\s+[A-Z]|$)/);
  const sentence = end < 0 ? text : text.slice(0, end + 1);
  return { sentence, more: text.slice(sentence.length).trim(), command };
}
