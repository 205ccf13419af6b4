// A verified receiver of web hooks in Node.js, with the published library of Standard Webhooks:
//
//     npm install standardwebhooks
//     PORT=3001 SECRET_FILE=./secret node receiver.mjs
//
// The file has the hook's signing secret (whsec_…) on its first line, and during a rotation the one before it on the second.
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { Webhook } from 'standardwebhooks'

const BODY_CAP_BYTES = 16 * 1024 * 1024
const KNOWN_IDS = 10_000

const secrets = readFileSync(process.env.SECRET_FILE, 'utf8').split(/\s+/).filter(Boolean)
const hooks = secrets.map(secret => new Webhook(secret))
if (hooks.length === 0) throw new Error('the secret file is empty')
const known = new Set() // the ids of the last deliveries: one that comes again is answered, and not worked on again

// The event, or undefined when no secret fits. The library looks at the three webhook-… headers: signature and age.
function verified(body, headers) {
  for (const hook of hooks)
    try {
      return hook.verify(body, headers)
    } catch {
      // another secret may fit
    }
}

// Yours: what is to be done about an event.
function handle({ method, type, userName, params, result, error }) {
  console.log(JSON.stringify({ method, type, userName, params, ...(error ? { error } : { result }) }))
}

async function readBody(request) {
  const chunks = []
  let size = 0
  for await (const chunk of request) {
    size += chunk.length
    if (size > BODY_CAP_BYTES) return
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString() // the bytes as they came: parsing and serialising them again would break the signature
}

async function answer(request) {
  if (request.method !== 'POST') return 405
  const body = await readBody(request)
  if (body === undefined) return 413
  const event = verified(body, request.headers)
  if (event === undefined) return 401
  const id = request.headers['webhook-id']
  if (!known.has(id)) {
    handle(event)
    known.add(id) // after the work: what failed is to come again
    if (known.size > KNOWN_IDS) known.delete(known.values().next().value)
  }
  return 200
}

const server = createServer((request, response) =>
  answer(request)
    .catch(error => {
      console.error(error)
      return 500 // xo-hooks tries again
    })
    .then(status => response.writeHead(status).end())
)
server.requestTimeout = 30_000
server.listen(Number(process.env.PORT ?? 3001), '127.0.0.1', () => console.log(`listening on port ${server.address().port}`))
