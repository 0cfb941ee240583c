import assert from "node:assert/strict";
import { test } from "node:test";
import { Again } from "../src/again.ts";

test("what failed is tried again until it works, and then no more", async () => {
  let tries = 0;
  await new Promise<void>((resolve) => {
    const again = new Again(
      () => {
        tries += 1;
        if (tries < 3) again.failed();
        else {
          again.worked();
          resolve();
        }
      },
      1,
      4,
    );
    again.failed();
  });
  assert.equal(tries, 3);
});

test("what waits is tried at once when the server is heard of, what does not wait is left alone", () => {
  let tries = 0;
  const again = new Again(() => {
    tries += 1;
  }, 60_000);
  again.now();
  assert.equal(tries, 0);
  again.failed();
  assert.ok(again.waiting);
  again.now();
  assert.equal(tries, 1);
  assert.ok(!again.waiting);
});

test("after the page is left nothing is tried again", () => {
  const again = new Again(() => assert.fail("tried"), 60_000);
  again.failed();
  again.stop();
  again.now();
  again.failed();
  assert.ok(!again.waiting);
});
