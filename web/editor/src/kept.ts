/** Small choices kept in this browser (theme, word wrap, open tabs). Where storage is denied they last as long as the page. */

const memory = new Map<string, string>();

export function kept(key: string): string | null {
  const stored = attempt(() => localStorage.getItem(`quire.${key}`));
  return stored ?? memory.get(key) ?? null;
}

export function keep(key: string, value: string | null): void {
  if (value === null) memory.delete(key);
  else memory.set(key, value);
  attempt(() =>
    value === null ? localStorage.removeItem(`quire.${key}`) : localStorage.setItem(`quire.${key}`, value),
  );
}

/** Browsers throw a DOMException when storage is off or full; the memory above then stands in. */
function attempt<T>(action: () => T): T | null {
  try {
    return action();
  } catch (error) {
    if (error instanceof DOMException) return null;
    throw error;
  }
}
