/** The time, anew every second while something counts down to one. */

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";

export function useNow(ticking: boolean): number {
  const now = useSignal(Date.now());
  useEffect(() => {
    if (!ticking) return undefined;
    now.value = Date.now();
    const timer = setInterval(() => {
      now.value = Date.now();
    }, 1000);
    return () => clearInterval(timer);
  }, [ticking]);
  return now.value;
}
