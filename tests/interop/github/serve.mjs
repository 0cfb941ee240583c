// A GitHub API server on loopback: prints where and an App's key, and serves until its standard input ends.
import { createServer } from 'node:net'
import { createEmulator } from 'emulate'

const freePort = () =>
  new Promise((resolve, reject) => {
    const probe = createServer()
    probe.on('error', reject)
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address()
      probe.close(() => resolve(port))
    })
  })

// It counts 5,000 requests an hour for each token, as GitHub does; the tests take turns.
const tokens = Object.fromEntries(
  Array.from({ length: 50 }, (_, n) => [`token-${n}`, { login: 'alice', scopes: ['repo', 'user', 'workflow'] }]),
)
tokens.reader = { login: 'bob', scopes: ['repo'] }

const port = await freePort()
const server = await createEmulator({
  service: 'github',
  port,
  baseUrl: `http://127.0.0.1:${port}`,
  seed: {
    tokens,
    github: {
      users: [
        { login: 'alice', name: 'Alice', email: 'alice@example.org' },
        { login: 'bob', name: 'Bob', email: 'bob@example.org' },
      ],
      apps: [
        {
          app_id: 7,
          slug: 'quire',
          name: 'Quire',
          permissions: { contents: 'write', metadata: 'read', pull_requests: 'write' },
          installations: [{ installation_id: 70, account: 'alice', repository_selection: 'all' }],
        },
      ],
    },
  },
})
const key = server.generatedSecrets.find((each) => each.kind === 'github.app_private_key').value
console.log(JSON.stringify({ url: `http://127.0.0.1:${port}`, app: '7', installation: 70, key }))
process.stdin.resume()
process.stdin.on('end', async () => {
  await server.close()
  process.exit(0)
})
