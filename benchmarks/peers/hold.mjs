// Opens peers and keeps them idle until its standard input ends: what does a room, what does a connection cost the server?
//
//   node hold.mjs --url ws://127.0.0.1:8000/sync/bench --token T --peers 2 --files a.md,b.md,...
//
// Prints "ready N" when every peer has the document.
import { parseArgs } from 'node:util'
import WebSocket from 'ws'

const { values: arg } = parseArgs({ options: {
  url: { type: 'string' }, token: { type: 'string' }, files: { type: 'string' }, peers: { type: 'string', default: '1' },
} })

const join = file => new Promise((resolve, reject) => {
  const ws = new WebSocket(`${arg.url}/${file}?token=${encodeURIComponent(arg.token)}`, { perMessageDeflate: false })
  ws.on('open', () => ws.send(Buffer.from([0, 0, 1, 0])))
  ws.on('message', message => { if (message[0] === 0 && message[1] === 1) resolve() })
  ws.on('error', reject)
  ws.on('close', code => reject(new Error(`closed with ${code}`)))
})

let open = 0
for (const file of arg.files.split(',')) {
  const joining = Array.from({ length: Number(arg.peers) }, () => join(file))
  for (let first = 0; first < joining.length; first += 100) open += (await Promise.all(joining.slice(first, first + 100))).length
}
console.log(`ready ${open}`)
process.stdin.resume()
process.stdin.on('end', () => process.exit(0))
