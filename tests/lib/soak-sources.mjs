// Sources of the soak test: they send events, keep what was not acknowledged and send it again, as the plugin does.
import { Source } from './serve.mjs'
import { sha } from './soak-targets.mjs'

const METHODS = ['vm.start', 'vm.stop', 'vm.snapshot', 'backupNg.runJob', 'host.restart']
const UNACKNOWLEDGED_MAX = 1000

export class SoakSource {
  unacknowledged = new Map() // id → { line, key, wait, sentAt }
  acknowledged = new Set() // "callId type"
  refused = new Map() // key → error
  waiting = new Map() // id → moment
  settled = 0
  sent = 0
  lastId = 0
  calls = 0

  constructor({ name, path, random, hooks, hashes, problem, waitMs }) {
    Object.assign(this, { name, path, random, hooks, hashes, problem, waitMs })
    this.session = `s${random.int(1, 1e9)}`
  }

  // Connects and goes on where the program says it is; false when nobody listens yet. One attempt at a time, whoever asks.
  connect() {
    return (this.connecting ??= this.#connect().finally(() => (this.connecting = undefined)))
  }

  async #connect() {
    const connection = new Source(this.path)
    try {
      await connection.open({ source: this.name, session: this.session, acks: 'cumulative' })
    } catch {
      connection.close()
      return false
    }
    this.connection = connection
    this.taken = 0
    this.waiting.clear() // whoever waited was told by the broken connection
    connection.closed.then(() => this.connection === connection && (this.connection = undefined))
    this.#acknowledge(connection.hello.acceptedUpTo)
    this.configure()
    for (const [id, { line }] of [...this.unacknowledged].sort(([a], [b]) => a - b)) if (id <= this.lastId) connection.raw(line)
    return true
  }

  configure() {
    this.connection?.send({ id: ++this.lastId, configure: { hooks: this.hooks() } })
  }

  // One turn: answers are read, a few calls are made.
  turn(pairs) {
    this.read()
    for (let i = 0; i < pairs && this.connection && this.unacknowledged.size < UNACKNOWLEDGED_MAX; i++) this.#call()
  }

  read() {
    const lines = this.connection?.lines ?? []
    for (; this.taken < lines.length; this.taken++) this.#answer(lines[this.taken])
    if (this.taken > 10_000) lines.splice(0, this.taken), (this.taken = 0)
    for (const [id, since] of this.waiting)
      if (Date.now() - since > this.waitMs) {
        this.waiting.delete(id)
        this.problem(`${this.name}: the source waits for ${id} longer than any hook's timeout`)
      }
  }

  #answer(line) {
    if (line.acceptedUpTo !== undefined) this.#acknowledge(line.acceptedUpTo)
    else if (line.settled) this.settled += this.waiting.delete(line.id)
    else if (line.error) {
      const event = this.unacknowledged.get(line.id)
      this.unacknowledged.delete(line.id)
      if (event) this.refused.set(event.key, line.error)
      else this.problem(`${this.name}: ${JSON.stringify(line)}`)
    }
  }

  #acknowledge(upTo) {
    for (const [id, { key }] of this.unacknowledged) {
      if (id > upTo) break
      this.unacknowledged.delete(id)
      this.acknowledged.add(key)
    }
  }

  #call() {
    const callId = `${this.name}-${++this.calls}`
    const method = this.random.pick(METHODS)
    const params = { id: this.random.int(0, 1e9).toString(36), note: this.random.chance(0.1) ? 'ünïcode ✓ \ud83d\udd11' : 'x'.repeat(this.#size()) }
    const common = { callId, userId: 'u1', userName: `user${this.random.int(1, 9)}@example.org`, method, params, timestamp: Date.now() }
    this.#event('pre', common)
    this.#event('post', { ...common, duration: this.random.int(0, 9999), ...(this.random.chance(0.2) ? { error: { message: 'no', name: 'XoError' } } : { result: 12345678901 }) })
  }

  #size() {
    return this.random.chance(0.01) ? this.random.int(10_000, 300_000) : this.random.int(0, 300)
  }

  #event(type, event) {
    const text = JSON.stringify({ ...event, type })
    const key = `${event.callId} ${type}`
    const wait = this.random.chance(0.03)
    const id = ++this.lastId
    const line = `{"id":${id},${wait ? '"wait":true,' : ''}"event":${text}}\n`
    this.hashes.set(key, sha(text))
    this.unacknowledged.set(id, { line, key })
    if (wait) this.waiting.set(id, Date.now())
    this.sent++
    this.connection.raw(line)
  }

  close() {
    this.connection?.close()
  }
}
