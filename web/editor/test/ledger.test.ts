import assert from "node:assert/strict";
import { test } from "node:test";
import { Ledger, updateStep } from "../src/live/ledger.ts";

const STEP1 = new Uint8Array([0, 0, 1, 0]);
const STEP2 = new Uint8Array([0, 1, 2, 0, 0]);
const UPDATE = new Uint8Array([0, 2, 2, 0, 0]);

function connected(): Ledger {
  const ledger = new Ledger();
  ledger.opened();
  ledger.sent(STEP1);
  ledger.sent(STEP2);
  ledger.heard(true);
  ledger.saved(1);
  return ledger;
}

test("only messages that bring updates count", () => {
  assert.equal(updateStep(STEP1), null);
  assert.equal(updateStep(STEP2), "step2");
  assert.equal(updateStep(UPDATE), "update");
  assert.equal(updateStep(new Uint8Array([1, 2, 3])), null);
});

test("a synced peer without edits is settled", () => {
  assert.equal(new Ledger().settled, false);
  assert.equal(connected().settled, true);
});

test("an edit is pending until its message is acknowledged", () => {
  const ledger = connected();
  ledger.edited();
  assert.equal(ledger.settled, false);
  ledger.sent(UPDATE);
  ledger.edited();
  ledger.sent(UPDATE);
  assert.equal(ledger.pending, 2);
  ledger.saved(2);
  assert.equal(ledger.pending, 1);
  assert.equal(ledger.settled, false);
  ledger.saved(3);
  assert.equal(ledger.pending, 0);
  assert.equal(ledger.settled, true);
});

test("edits that were made offline are covered by the answer to the server's step 1, not before", () => {
  const ledger = connected();
  ledger.closed();
  ledger.edited();
  ledger.edited();
  assert.equal(ledger.settled, false);
  ledger.opened();
  ledger.sent(STEP1);
  ledger.heard(true);
  assert.equal(ledger.settled, false);
  ledger.edited();
  ledger.sent(UPDATE);
  ledger.saved(1);
  assert.equal(ledger.pending, 3);
  ledger.sent(STEP2);
  ledger.saved(2);
  assert.equal(ledger.pending, 0);
  assert.equal(ledger.settled, true);
});

test("what was sent on a socket that broke is pending again", () => {
  const ledger = connected();
  ledger.edited();
  ledger.sent(UPDATE);
  ledger.closed();
  assert.equal(ledger.pending, 1);
  ledger.opened();
  ledger.sent(STEP2);
  ledger.heard(true);
  assert.equal(ledger.settled, false);
  ledger.saved(1);
  assert.equal(ledger.settled, true);
});

test("an acknowledgement of more than was sent covers no more than was sent", () => {
  const ledger = connected();
  ledger.saved(99);
  ledger.edited();
  ledger.sent(UPDATE);
  assert.equal(ledger.settled, false);
});
