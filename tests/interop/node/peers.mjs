// Stock peers (yjs, y-websocket) that do what they are told: one JSON object per line on standard input, one answer per line.
//
//   {"n": 1, "do": "join", "who": "alice", "url": "ws://127.0.0.1:8000/sync", "room": "notes/a.md", "params": {"token": "T"}}
//   {"n": 2, "do": "insert", "who": "alice", "at": 0, "text": "hello"}
//   {"n": 3, "do": "until", "who": "bob", "contains": ["hello"]}
//
// Answers: {"n": 1, "value": ...} or {"n": 1, "error": "..."}. Commands run side by side; whoever needs an order waits for answers.
import readline from 'node:readline'
import WebSocket from 'ws'
import { WebsocketProvider } from 'y-websocket'
import * as Y from 'yjs'

const PATIENCE = 20_000
const peers = new Map()

class Peer {
  constructor ({ url, room, params = {}, bc = false, connect = true }) {
    this.doc = new Y.Doc()
    this.text = this.doc.getText('content')
    this.codes = []
    this.waiting = new Set()
    this.provider = new WebsocketProvider(url, room, this.doc,
      { params, connect, disableBc: !bc, WebSocketPolyfill: WebSocket, maxBackoffTime: 200 })
    const look = () => this.look()
    this.doc.on('update', look)
    this.provider.awareness.on('change', look)
    this.provider.on('sync', look)
    this.provider.on('status', look)
    this.provider.on('connection-close', event => {
      if (event) this.codes.push(event.code)
      look()
    })
  }

  look () {
    for (const wait of [...this.waiting]) if (wait.holds()) { this.waiting.delete(wait); wait.resolve() }
  }

  until (holds, what) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${what}: not within ${PATIENCE} ms; text ${JSON.stringify(this.text.toString().slice(0, 400))}, ` +
        `closed with ${JSON.stringify(this.codes)}, states ${JSON.stringify(this.states())}`)), PATIENCE)
      this.waiting.add({ holds, resolve: () => { clearTimeout(timer); resolve() } })
      this.look()
    })
  }

  states () {
    return Object.fromEntries(this.provider.awareness.getStates())
  }
}

const commands = {
  join (_, options) {
    const peer = new Peer(options)
    peers.set(options.who, peer)
    return options.connect === false ? peer.doc.clientID : peer.until(() => peer.provider.synced, 'sync').then(() => peer.doc.clientID)
  },
  /** Without waiting for anything: for those who are turned away, or come together with others. */
  knock (_, options) {
    peers.set(options.who, new Peer(options))
  },
  insert: (peer, { at, text }) => { peer.text.insert(at ?? peer.text.length, text) },
  delete: (peer, { at, length }) => { peer.text.delete(at, length) },
  text: peer => peer.text.toString(),
  /** A cursor, as editors keep and show it: it stays with the characters around it. */
  mark: (peer, { at, assoc }) => Y.relativePositionToJSON(Y.createRelativePositionFromTypeIndex(peer.text, at, assoc ?? 0)),
  where: (peer, { mark }) => Y.createAbsolutePositionFromRelativePosition(Y.createRelativePositionFromJSON(mark), peer.doc)?.index,
  /** From now on, what this peer does can be undone, each edit by itself. */
  track: peer => { peer.undoing = new Y.UndoManager(peer.text, { captureTimeout: 0 }) },
  undo: peer => peer.undoing.undo() !== null,
  redo: peer => peer.undoing.redo() !== null,
  codes: peer => peer.codes,
  states: peer => peer.states(),
  show: (peer, { state }) => { peer.provider.awareness.setLocalState(state) },
  connect: peer => { peer.provider.connect() },
  disconnect: peer => { peer.provider.disconnect() },
  leave: peer => { peer.provider.destroy() },
  is: (peer, { text }) => peer.until(() => peer.text.toString() === text, `text ${JSON.stringify(text)}`),
  contains: (peer, { parts }) => peer.until(() => parts.every(part => peer.text.toString().includes(part)), `parts ${JSON.stringify(parts)}`),
  synced: peer => peer.until(() => peer.provider.synced, 'sync'),
  closed: peer => peer.until(() => peer.codes.length > 0, 'a close code').then(() => peer.codes.at(-1)),
  present: (peer, { clients }) => peer.until(() => clients.every(client => client in peer.states()), `clients ${clients}`).then(() => peer.states()),
  absent: (peer, { clients }) => peer.until(() => clients.every(client => !(client in peer.states())), `no clients ${clients}`),
  /** Does it still try to come back? */
  tries: peer => peer.provider.shouldConnect,
}

async function answer ({ n, do: command, ...options }) {
  try {
    console.log(JSON.stringify({ n, value: (await commands[command](peers.get(options.who), options)) ?? null }))
  } catch (error) {
    console.log(JSON.stringify({ n, error: String(error) }))
  }
}

readline.createInterface({ input: process.stdin }).on('line', line => { answer(JSON.parse(line)) }).on('close', () => process.exit(0))
