// Many peers open one large document at once: the time from asking to the last byte, nothing decoded.
//
//   node joins.mjs --port 8000 --path '/sync/bench/large.md?token=T' --peers 200
//
// The WebSocket is spoken by hand over plain sockets, so that what is measured is the server and not a client library.
// Prints one JSON line: how many got the whole document, its size, median and worst milliseconds.
import net from 'node:net'
import { parseArgs } from 'node:util'
import { micros, quantiles } from './measure.mjs'

const { values: arg } = parseArgs({ options: {
  port: { type: 'string' }, path: { type: 'string' }, peers: { type: 'string', default: '200' }, grace: { type: 'string', default: '60' },
} })

const STEP1 = Buffer.from([0x82, 0x84, 0, 0, 0, 0, 0, 0, 1, 0])   // masked with zeros: sync step 1 of an empty document

/** Calls `greeted()` when the handshake is over, `whole(bytes)` when a frame that begins with sync step 2 has arrived to its last byte. */
class Frames {
  constructor (greeted, whole) {
    this.welcome = greeted
    this.whole = whole
    this.head = Buffer.alloc(0)
    this.left = 0
    this.size = 0
    this.document = false
    this.greeted = false
  }

  push (chunk) {
    while (chunk.length > 0) {
      if (this.left > 0) {
        const part = Math.min(this.left, chunk.length)
        this.left -= part
        chunk = chunk.subarray(part)
        if (this.left === 0 && this.document) this.whole(this.size)
      } else {
        this.head = Buffer.concat([this.head, chunk])
        chunk = this.begin()
      }
    }
  }

  /** What is left of the chunk once the head of a frame is complete; nothing when it is not. */
  begin () {
    const nothing = Buffer.alloc(0)
    if (!this.greeted) {
      const end = this.head.indexOf('\r\n\r\n')
      if (end < 0) return nothing
      if (!this.head.toString('latin1', 0, 12).endsWith('101')) throw new Error(this.head.toString('latin1', 0, end))
      this.greeted = true
      this.welcome()
      return this.rest(end + 4)
    }
    if (this.head.length < 2) return nothing
    const short = this.head[1] & 127
    const start = short === 126 ? 4 : short === 127 ? 10 : 2
    if (this.head.length < start) return nothing
    const size = short === 126 ? this.head.readUInt16BE(2) : short === 127 ? Number(this.head.readBigUInt64BE(2)) : short
    if (size >= 2 && this.head.length < start + 2) return nothing
    this.document = (this.head[0] & 15) === 2 && size >= 2 && this.head[start] === 0 && this.head[start + 1] === 1
    this.left = this.size = size
    return this.rest(start)
  }

  rest (from) {
    const rest = this.head.subarray(from)
    this.head = Buffer.alloc(0)
    return rest
  }
}

const latencies = []
let bytes = 0
let failed = 0
const open = () => new Promise(resolve => {
  const start = micros()
  const socket = net.connect(Number(arg.port), '127.0.0.1')
  const frames = new Frames(() => socket.write(STEP1), size => {
    latencies.push(micros() - start)
    bytes = Math.max(bytes, size)
    resolve()
  })
  socket.on('connect', () => {
    socket.write(`GET ${arg.path} HTTP/1.1\r\nHost: 127.0.0.1:${arg.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n')
  })
  socket.on('data', chunk => frames.push(chunk))
  socket.on('error', () => { failed++; resolve() })
  socket.on('close', resolve)
})

setTimeout(() => { report() }, Number(arg.grace) * 1000)
function report () {
  console.log(JSON.stringify({ joined: latencies.length, failed, bytes, ...quantiles(latencies) }))
  process.exit(0)
}
await Promise.all(Array.from({ length: Number(arg.peers) }, open))
report()
