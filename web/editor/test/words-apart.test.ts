import assert from "node:assert/strict";
import { test } from "node:test";
import { partsOf } from "../src/conflicts/words-apart.ts";

const shown = (text: string, other: string): string[] =>
  partsOf(text, other).map((line) => line.map((part) => (part.differs ? `[${part.text}]` : part.text)).join(""));

test("words that the other text does not have are told apart, line by line", () => {
  assert.deepEqual(shown("the quick fox\nand more\n", "the slow fox\nand more\n"), ["the [quick] fox", "and more"]);
  assert.deepEqual(shown("one\ntwo\n", "one\n"), ["one", "[two]"]);
  assert.deepEqual(shown("", "one\n"), []);
  assert.deepEqual(shown("a\n\nb", "a\n\nb"), ["a", "", "b"]);
  assert.deepEqual(shown("größe 中文\r\n", "größe\r\n"), ["größe[ 中文]"]);
});
