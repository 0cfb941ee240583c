// From send to `saved`: peers of quire.v1 send updates at a given rate, and time each one until the server calls it durable.
//
//   node saved.mjs --url ws://127.0.0.1:8000/sync/bench --token T --files a.md,b.md --peers 2 --rate 1000 --seconds 5
//
// Every file has --peers writers; --rate is what all of them send together in a second. Prints one JSON line.
import { parseArgs } from 'node:util'
import WebSocket from 'ws'
import * as Y from 'yjs'
import * as decoding from 'lib0/decoding'
import { micros, quantiles, sleep, varbuf } from './measure.mjs'

const { values: arg } = parseArgs({ options: {
  url: { type: 'string' }, token: { type: 'string' }, files: { type: 'string' }, peers: { type: 'string', default: '1' },
  rate: { type: 'string', default: '1000' }, seconds: { type: 'string', default: '5' }, grace: { type: 'string', default: '10' },
} })
const [peers, rate, seconds, grace] = ['peers', 'rate', 'seconds', 'grace'].map(k => Number(arg[k]))
const latencies = []
let sent = 0
let saved = 0

function received (writer, message) {
  const decoder = decoding.createDecoder(new Uint8Array(message))
  if (decoding.readVarUint(decoder) !== 8 || decoding.readVarUint(decoder) !== 1) return
  decoding.readVarUint(decoder)
  const durable = decoding.readVarUint(decoder)
  const now = micros()
  for (; writer.saved < durable; writer.saved++) {
    saved++
    latencies.push(now - writer.times[writer.saved])
  }
}

function join (file) {
  return new Promise((resolve, reject) => {
    const ws = new WebSocket(`${arg.url}/${file}?token=${encodeURIComponent(arg.token)}`, 'quire.v1', { perMessageDeflate: false })
    const doc = new Y.Doc()
    const writer = { text: doc.getText('content'), times: [], saved: 0 }
    doc.on('update', update => {
      writer.times.push(micros())
      ws.send(Buffer.concat([Buffer.from([0, 2]), varbuf(update)]))
    })
    ws.on('open', () => {
      ws.send(Buffer.concat([Buffer.from([0, 0]), varbuf(Y.encodeStateVector(doc))]))
      resolve(writer)
    })
    ws.on('message', message => received(writer, message))
    ws.on('error', reject)
  })
}

const writers = await Promise.all(arg.files.split(',').flatMap(file => Array.from({ length: peers }, () => join(file))))
await sleep(300)
const start = micros()
await new Promise(resolve => {
  const step = () => {
    const elapsed = (micros() - start) / 1e6
    if (elapsed >= seconds) return resolve()
    for (const due = Math.floor(elapsed * rate); sent < due; sent++) {
      const { text } = writers[sent % writers.length]
      text.insert(text.length, 'x')
    }
    setImmediate(step)
  }
  step()
})
const deadline = micros() + grace * 1e6
while (saved < sent && micros() < deadline) await sleep(20)
console.log(JSON.stringify({ writers: writers.length, sent, saved, complete: saved === sent, ...quantiles(latencies) }))
process.exit(0)
