// Targets of the soak test: each misbehaves in its own way until it is healed, and writes down what it was sent.
import { createHash, createHmac } from 'node:crypto'
import { createServer } from 'node:http'

const sha = bytes => createHash('sha256').update(bytes).digest('hex')

// What a target may do with a request; true when it took it with 2xx.
const ANSWERS = {
  ok: (_, res) => (res.writeHead(200).end('thanks'), true),
  empty: (_, res) => (res.writeHead(204).end(), true),
  error: (_, res) => (res.writeHead(500).end('x'.repeat(5000)), false),
  refused: (_, res) => (res.writeHead(400).end('no'), false),
  busy: (_, res) => (res.writeHead(503, { 'retry-after': '1' }).end(), false),
  limited: (_, res) => (res.writeHead(429, { 'retry-after': new Date(Date.now() + 1000).toUTCString() }).end(), false),
  elsewhere: (_, res) => (res.writeHead(302, { location: '/login' }).end(), false),
  moved: (req, res) => (res.writeHead(307, { location: `${req.url}?moved` }).end(), false),
  gone: (_, res) => (res.writeHead(410).end(), false),
  reset: req => (req.socket.resetAndDestroy(), false),
  closed: req => (req.socket.destroy(), false),
  silence: () => false,
  garbage: req => (req.socket.end('what?\r\n\r\n'), false),
  torn: (_, res) => {
    res.writeHead(500, { 'content-length': 1000 })
    res.write('half', () => res.destroy())
    return false
  },
}

const HABITS = {
  good: { ok: 1 },
  flaky: { ok: 40, empty: 10, error: 10, refused: 2, busy: 4, limited: 3, elsewhere: 2, moved: 8, reset: 6, closed: 4, silence: 2, garbage: 4, torn: 4, late: 12 },
  failing: { ok: 1, error: 5, refused: 3, reset: 1 },
  silent: { silence: 1 },
  leaving: { ok: 20, gone: 1 },
}

export class SoakTarget {
  taken = new Map() // webhook-id → how often it was answered with 2xx
  first = new Map() // "callId type" → number of the request that brought it first
  ids = new Map() // webhook-id → { hash of the body, key }
  requests = 0
  answers = {}

  // `known(key)` gives the hash of the event's own bytes, `secrets()` the keys that may sign.
  constructor({ name, random, known, secrets, problem, isJson = true }) {
    Object.assign(this, { name, random, known, secrets, problem, isJson })
    this.habit = HABITS.good
    this.server = createServer((req, res) => {
      const chunks = []
      req.on('error', () => {})
      res.on('error', () => {})
      req.on('data', chunk => chunks.push(chunk))
      req.on('end', () => this.#take(req, res, Buffer.concat(chunks)))
    })
    this.server.keepAliveTimeout = 60_000
  }

  async open() {
    await new Promise(resolve => this.server.listen(this.port ?? 0, '127.0.0.1', resolve)) // an error ends the test: nobody listens for it
    this.port = this.server.address().port
    this.url = `http://127.0.0.1:${this.port}/${this.name}`
    this.isOpen = true
    return this
  }

  // Nobody listens there any more.
  async close() {
    if (!this.isOpen) return
    this.isOpen = false
    this.server.closeAllConnections()
    await new Promise(resolve => this.server.close(resolve))
  }

  become(habit) {
    this.habit = HABITS[habit]
  }

  async heal() {
    this.become('good')
    if (!this.isOpen) await this.open()
    this.server.closeAllConnections() // what was left in silence
  }

  #take(req, res, body) {
    this.requests++
    const id = req.headers['webhook-id']
    this.#check(id, req, body)
    const kind = req.url.endsWith('?moved') ? 'ok' : this.random.weighed(this.habit)
    this.answers[kind] = (this.answers[kind] ?? 0) + 1
    if (kind === 'late') setTimeout(() => this.#answer('ok', id, req, res), this.random.int(1, 700))
    else this.#answer(kind, id, req, res)
  }

  #answer(kind, id, req, res) {
    if (ANSWERS[kind](req, res)) this.taken.set(id, (this.taken.get(id) ?? 0) + 1)
  }

  #check(id, req, body) {
    const hash = sha(body)
    const seen = this.ids.get(id)
    if (!/^msg_[0-9a-f]{32}$/.test(id ?? '')) this.problem(`${this.name}: odd webhook-id ${id}`)
    if (seen && seen.hash !== hash) this.problem(`${this.name}: ${id} came with two different bodies`)
    if (!this.#isSigned(id, req.headers, body)) this.problem(`${this.name}: ${id}: no valid signature`)
    let key = seen?.key
    if (!seen && this.isJson) {
      const { callId, type } = JSON.parse(body)
      key = `${callId} ${type}`
      const known = this.known(key)
      if (known !== hash) this.problem(`${this.name}: ${id}: the body of ${key} is not what its source sent`)
      if (!this.first.has(key)) this.first.set(key, this.requests)
    }
    if (!seen) this.ids.set(id, { hash, key })
  }

  #isSigned(id, headers, body) {
    const at = headers['webhook-timestamp']
    if (Math.abs(at - Date.now() / 1000) > 60) this.problem(`${this.name}: ${id} is stamped ${at}`)
    const given = (headers['webhook-signature'] ?? '').split(' ')
    return this.secrets().some(secret => given.includes('v1,' + createHmac('sha256', secret).update(`${id}.${at}.`).update(body).digest('base64')))
  }
}

export { sha }
