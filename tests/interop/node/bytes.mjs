// What the real lib0, y-protocols and yjs write, and what they read in what Quire writes: JSON on stdin and stdout, with
// bytes as hex. `bytes.mjs make`, `bytes.mjs read`.

import * as decoding from 'lib0/decoding'
import * as encoding from 'lib0/encoding'
import * as auth from 'y-protocols/auth'
import * as awareness from 'y-protocols/awareness'
import * as sync from 'y-protocols/sync'
import * as Y from 'yjs'

const hex = bytes => Buffer.from(bytes).toString('hex')
const bytes = text => new Uint8Array(Buffer.from(text, 'hex'))
const written = write => { const encoder = encoding.createEncoder(); write(encoder); return hex(encoding.toUint8Array(encoder)) }
const typed = (kind, write) => written(encoder => { encoding.writeVarUint(encoder, kind); write(encoder) })
const clocks = vector => Object.fromEntries(Y.decodeStateVector(vector))

const document = (clientID, options) => {
  const doc = new Y.Doc(options)
  doc.clientID = clientID
  return doc
}

// A small generator, so that a failure can be seen again (mulberry32).
const dice = seed => most => {
  seed = seed + 0x6D2B79F5 | 0
  let t = Math.imul(seed ^ seed >>> 15, 1 | seed)
  t = t + Math.imul(t ^ t >>> 7, 61 | t) ^ t
  return Math.floor(((t ^ t >>> 14) >>> 0) / 4294967296 * most)
}

const WORDS = ['a', 'bc ', '\n', 'é', '漢字', '한', '😀', '👩‍👩‍👧', '𠮷野', '🏳️‍🌈', 'x'.repeat(200)]

// As editors do: never between the halves of a surrogate pair.
const whole = (text, index) => index > 0 && index < text.length && /[\uD800-\uDBFF]/.test(text[index - 1]) ? index - 1 : index

const edit = (roll, text, undo) => {
  const now = text.toString()
  const at = whole(now, roll(now.length + 1))
  const kind = roll(10)
  if (kind < 6 || now.length === 0) text.insert(at, WORDS[roll(WORDS.length)])
  else if (kind < 9) { const to = whole(now, Math.min(now.length, at + 1 + roll(6))); if (to > at) text.delete(at, to - at) }
  else if (roll(3)) undo.undo()
  else undo.redo()
}

// Three people at once, some of them behind; every update in an order in which it can be applied.
const session = seed => {
  const roll = dice(seed)
  const docs = [7, 4294967295, 123456789].map(client => document(client))
  const updates = []
  const heard = docs.map(() => [])
  docs.forEach((doc, i) => doc.on('update', (update, origin) => {
    if (origin === 'remote') return
    updates.push(update)
    heard.forEach((queue, j) => { if (j !== i) queue.push(update) })
  }))
  const undo = docs.map(doc => new Y.UndoManager(doc.getText('content'), { captureTimeout: 0 }))
  for (let step = 0; step < 120; step++) {
    const i = roll(3)
    edit(roll, docs[i].getText('content'), undo[i])
    const j = roll(3)
    for (const update of heard[j].splice(0, roll(4) ? heard[j].length : 0)) Y.applyUpdate(docs[j], update, 'remote')
  }
  docs.forEach((doc, j) => heard[j].forEach(update => Y.applyUpdate(doc, update, 'remote')))
  undo.forEach(manager => manager.destroy())
  const half = updates.length >> 1
  return {
    updates: updates.map(hex),
    text: docs[0].getText('content').toString(),
    state: hex(Y.encodeStateAsUpdate(docs[0])),
    clocks: clocks(Y.encodeStateVector(docs[0])),
    merged: hex(Y.mergeUpdates(updates)),
    first: hex(Y.mergeUpdates(updates.slice(0, half))),
    rest: hex(Y.mergeUpdates(updates.slice(half))),
    gaps: hex(Y.mergeUpdates(updates.filter((_, n) => n % 3 !== 1)))
  }
}

// A careless editor: it replaces the second half of a surrogate pair.
const careless = () => {
  const doc = document(11)
  const text = doc.getText('content')
  text.insert(0, 'a😀b')
  const before = Y.encodeStateAsUpdate(doc)
  const updates = []
  doc.on('update', update => updates.push(hex(update)))
  text.delete(2, 1)
  return { before: hex(before), updates }
}

const foreign = () => {
  const made = {}
  const update = (name, write) => { const doc = document(5); write(doc); made[name] = hex(Y.encodeStateAsUpdate(doc)) }
  update('map', doc => doc.getMap('content').set('key', 'value'))
  update('array', doc => doc.getArray('content').insert(0, [1]))
  update('binary', doc => doc.getArray('content').insert(0, [new Uint8Array([1])]))
  update('nested', doc => doc.getArray('content').insert(0, [new Y.Array()]))
  update('format', doc => { doc.getText('content').insert(0, 'ab'); doc.getText('content').format(0, 1, { bold: true }) })
  update('embed', doc => doc.getText('content').insertEmbed(0, { image: 'x' }))
  update('subdocument', doc => doc.getMap('content').set('doc', new Y.Doc()))
  update('root', doc => doc.getText('other').insert(0, 'a'))
  return made
}

const presence = () => {
  const doc = document(4294967295)
  const states = new awareness.Awareness(doc)
  states.setLocalState({ user: { name: 'Zoë 漢 😀', color: '#ff0000' }, cursor: null })
  const here = awareness.encodeAwarenessUpdate(states, [doc.clientID])
  const message = update => typed(1, encoder => encoding.writeVarUint8Array(encoder, update))
  const there = message(here)
  states.setLocalState(null)
  const gone = message(awareness.encodeAwarenessUpdate(states, [doc.clientID]))
  doc.destroy()
  return { here: there, gone }
}

const make = () => {
  const doc = document(42)
  doc.getText('content').insert(0, 'Grüße 😀')
  const other = document(43)
  Y.applyUpdate(other, Y.encodeStateAsUpdate(doc))
  other.getText('content').insert(0, '漢')
  return {
    integers: [0, 1, 127, 128, 16383, 16384, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1]
      .map(value => [value, written(encoder => encoding.writeVarUint(encoder, value))]),
    clocks: clocks(Y.encodeStateVector(other)),
    update: hex(Y.encodeStateAsUpdate(other)),
    messages: {
      step1: typed(0, encoder => sync.writeSyncStep1(encoder, other)),
      step2: typed(0, encoder => sync.writeSyncStep2(encoder, other)),
      update: typed(0, encoder => sync.writeUpdate(encoder, Y.encodeStateAsUpdate(other))),
      query: written(encoder => encoding.writeVarUint(encoder, 3)),
      denied: typed(2, encoder => auth.writePermissionDenied(encoder, 'not you, Zoë')),
      ...presence()
    },
    sessions: [1, 2, 3, 4, 5, 6].map(session),
    careless: careless(),
    foreign: foreign()
  }
}

const reply = (doc, message) => {
  const decoder = decoding.createDecoder(bytes(message))
  const encoder = encoding.createEncoder()
  if (decoding.readVarUint(decoder) !== 0) throw new Error('not a sync message')
  const kind = sync.readSyncMessage(decoder, encoder, doc, null, error => { throw error })
  if (decoding.hasContent(decoder)) throw new Error('bytes are left')
  return { kind, answer: hex(encoding.toUint8Array(encoder)) }
}

const read = ours => {
  const doc = document(1)
  const step2 = reply(doc, ours.step2)
  const update = reply(doc, ours.update)
  const step1 = reply(doc, ours.step1)

  const others = document(2)
  const states = new awareness.Awareness(others)
  states.setLocalState(null)
  const decoder = decoding.createDecoder(bytes(ours.awareness))
  const kind = decoding.readVarUint(decoder)
  awareness.applyAwarenessUpdate(states, decoding.readVarUint8Array(decoder), null)
  const seen = Object.fromEntries(states.getStates())
  others.destroy()

  const denied = decoding.createDecoder(bytes(ours.denied))
  const denial = { kind: decoding.readVarUint(denied) }
  auth.readAuthMessage(denied, doc, (_, reason) => { denial.reason = reason })

  const saved = decoding.createDecoder(bytes(ours.saved))
  const token = decoding.createDecoder(bytes(ours.token))
  return {
    text: doc.getText('content').toString(),
    kinds: [step1.kind, step2.kind, update.kind],
    answer: step1.answer,
    clocks: clocks(bytes(ours.state_vector)),
    awareness: { kind, seen },
    denied: denial,
    query: decoding.readVarUint(decoding.createDecoder(bytes(ours.query))),
    saved: [0, 1, 2, 3].map(() => decoding.readVarUint(saved)),
    token: [decoding.readVarUint(token), decoding.readVarUint(token), decoding.readVarString(token)],
    integers: ours.integers.map(text => decoding.readVarUint(decoding.createDecoder(bytes(text))))
  }
}

const input = async () => {
  const chunks = []
  for await (const chunk of process.stdin) chunks.push(chunk)
  return JSON.parse(Buffer.concat(chunks).toString())
}

const answer = process.argv[2] === 'read' ? read(await input()) : make()
process.stdout.write(JSON.stringify(answer))
