'use strict'

// The connection to the delivery program (docs/protocol.md): makes it again whenever it is lost, tells the configuration each time, writes
// what waits in the backlog, matches answers with questions. Knows nothing of the host.

const PROTOCOL = 1
const BACKOFF_MS = { first: 100, most: 5000, steady: 10_000 }
const GATHER_MS = 4
const WRITE_AHEAD = 1024 * 1024 // bytes handed to the stream that the other side has not read yet

class Link {
  #open
  #hello
  #backlog
  #log
  #onSettled
  #transport
  #configuration
  #pending = new Map() // id of a question → { resolve, reject, timer }
  #ready = false
  #wanted = false
  #soon = false // the backlog will be written in this turn of the event loop
  #timer // or in some milliseconds
  #flushed = 0
  #held = '' // messages that wait for the end of an event of which a part is written
  #retryMs = BACKOFF_MS.first
  #retryTimer
  #complained = 0
  #whenIdle = []
  refused = 0 // events that the program did not take
  connections = 0
  lineBytes = Infinity
  lastId = 0

  // `open()` gives a transport; `onSettled(id)` hears that nobody needs to wait for an event any more, onLost() that nobody will ever say so.
  constructor({ open, source, session, backlog, log, onSettled, onLost }) {
    this.#open = open
    this.#hello = { protocol: PROTOCOL, source, session, acks: 'cumulative' }
    this.#backlog = backlog
    this.#log = log
    this.#onSettled = onSettled
    this.onLost = onLost
  }

  get ready() {
    return this.#ready
  }

  start() {
    this.#wanted = true
    this.#connect()
  }

  // Ends the connection after what waits was confirmed, or after `limitMs`.
  async stop(limitMs) {
    await this.drained(limitMs)
    this.#wanted = false
    clearTimeout(this.#retryTimer)
    const transport = this.#transport
    this.#lost('closed')
    await transport?.close()
  }

  // Resolves when the program has confirmed every event, there is no connection, or the time is over.
  drained(limitMs) {
    if (!this.#ready || this.#backlog.count === 0) return Promise.resolve()
    return new Promise(resolve => {
      const timer = setTimeout(resolve, limitMs)
      this.#whenIdle.push(() => {
        clearTimeout(timer)
        resolve()
      })
    })
  }

  // There is something in the backlog. What comes within a few milliseconds is written together, unless somebody waits for its answer.
  kick(urgent) {
    if (this.#soon || !this.#ready || (this.#timer !== undefined && !urgent)) return
    if (urgent || Date.now() - this.#flushed >= GATHER_MS) {
      this.#soon = true
      setImmediate(this.#flush)
    } else this.#timer = setTimeout(this.#flush, GATHER_MS)
  }

  // Asks one of the program's calls.
  call(name, params, timeoutMs = 10_000) {
    return this.#ask({ call: name, params }, timeoutMs)
  }

  // Replaces the hooks. Rejects with the program's error, whose `mistakes` say what is wrong; then the old ones stay.
  async configure(configuration, timeoutMs = 10_000) {
    const answer = await this.#ask({ configure: configuration }, timeoutMs)
    this.#configuration = configuration
    return answer
  }

  // What every new connection starts with.
  set configuration(configuration) {
    this.#configuration = configuration
  }

  #ask(question, timeoutMs) {
    if (!this.#ready) return Promise.reject(new Error('there is no connection to the delivery program'))
    const id = ++this.lastId
    return new Promise((resolve, reject) => {
      const late = () => {
        this.#pending.delete(id)
        reject(Object.assign(new Error(`the delivery program has not answered within ${timeoutMs / 1e3} s`), { late: true }))
      }
      this.#pending.set(id, { resolve, reject, timer: setTimeout(late, timeoutMs) })
      this.#write({ id, ...question })
    })
  }

  #connect() {
    const transport = this.#open()
    this.#transport = transport
    let rest = ''
    transport.output.setEncoding('utf8').on('data', text => {
      if (transport !== this.#transport) return
      if (rest !== '') text = rest + text
      let from = 0
      for (let to; (to = text.indexOf('\n', from)) !== -1; from = to + 1) this.#answer(text.slice(from, to))
      rest = from === 0 ? text : text.slice(from)
    })
    transport.input.on('drain', this.#flush)
    transport.onEnd(reason => {
      if (transport === this.#transport) this.#lost(reason)
    })
    this.#write({ hello: this.#hello })
  }

  #lost(reason) {
    const steady = this.#ready && Date.now() - this.readyAt > BACKOFF_MS.steady
    this.#transport = undefined
    this.#ready = false
    this.#backlog.rewind()
    this.#held = ''
    for (const { reject, timer } of this.#pending.values()) {
      clearTimeout(timer)
      reject(new Error(`the connection to the delivery program was lost: ${reason}`))
    }
    this.#pending.clear()
    this.onLost()
    this.#idle()
    if (!this.#wanted) return
    if (steady) this.#retryMs = BACKOFF_MS.first
    this.#complain(reason)
    this.#retryTimer = setTimeout(() => this.#connect(), this.#retryMs).unref()
    this.#retryMs = Math.min(this.#retryMs * 2, BACKOFF_MS.most)
  }

  // The first loss is told at once, the following attempts once a minute.
  #complain(reason) {
    const now = Date.now()
    if (now - this.#complained < 60_000) return
    this.#complained = now
    this.#log.warn(`no connection to the delivery program: ${reason}; trying again, events wait in memory`)
  }

  #write(message) {
    const line = JSON.stringify(message) + '\n'
    if (this.#backlog.midLine) this.#held += line
    else this.#transport.input.write(line)
  }

  #flush = () => {
    this.#soon = false
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#flushed = Date.now()
    if (!this.#ready) return
    const { input } = this.#transport
    while (input.writableLength < WRITE_AHEAD) {
      const chunk = this.#backlog.next()
      if (chunk === undefined) return
      input.write(chunk)
      if (this.#held !== '' && !this.#backlog.midLine) {
        input.write(this.#held)
        this.#held = ''
      }
    }
  }

  #idle() {
    for (const done of this.#whenIdle.splice(0)) done()
  }

  #confirm(id) {
    this.#backlog.confirm(id)
    if (this.#backlog.count === 0) this.#idle()
  }

  #answer(line) {
    let message
    try {
      message = JSON.parse(line)
    } catch {
      this.#log.error(`the delivery program said what is no JSON: ${line.slice(0, 200)}`)
      return
    }
    const { id, acceptedUpTo, hello, settled, error } = message
    if (acceptedUpTo !== undefined) this.#confirm(acceptedUpTo)
    else if (settled !== undefined) this.#onSettled(id)
    else if (hello !== undefined) this.#welcome(hello)
    else if (this.#pending.has(id)) this.#resolve(id, message)
    else if (error !== undefined) this.#refused(id, error)
  }

  #resolve(id, { error, result, warnings }) {
    const { resolve, reject, timer } = this.#pending.get(id)
    this.#pending.delete(id)
    clearTimeout(timer)
    if (error === undefined) resolve(result ?? { warnings })
    else reject(Object.assign(new Error(error.message), error))
  }

  #refused(id, { code, message }) {
    this.refused++
    if (id !== undefined) {
      this.#backlog.drop(id)
      this.#onSettled(id)
      if (this.#backlog.count === 0) this.#idle()
    }
    this.#log.error(`the delivery program refused ${id === undefined ? 'a line' : `event ${id}`}: ${code}: ${message}`)
  }

  // The first answer: from here on the connection is of use. The configuration goes first, then what was not confirmed.
  #welcome({ acceptedUpTo, lineBytes, version }) {
    this.#confirm(acceptedUpTo)
    this.lineBytes = lineBytes
    this.#ready = true
    this.readyAt = Date.now()
    this.connections++
    if (this.#complained !== 0) this.#log.warn(`connected to the delivery program ${version} again`)
    this.#complained = 0
    if (this.#configuration !== undefined)
      this.configure(this.#configuration).catch(error => {
        if (this.#ready) this.#log.error(`the delivery program refused the configuration: ${error.message}`)
      })
    this.#flush()
  }
}

module.exports = { Link }
