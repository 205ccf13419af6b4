'use strict'

// The connection to the delivery program (docs/protocol.md): makes it again whenever it is lost, tells the configuration each time, writes
// what waits in the backlog, matches answers with questions. Knows nothing of the host.

const { Lines } = require('./lines.js')

const PROTOCOL = 1
const HELLO_MS = 10_000 // a service that has not said hello by then is no xo-hooks, or is stuck
const HELLO_LENGTH_MAX = 4096
const ANSWER_LENGTH_MAX = 256 * 1024 * 1024 // a delivery with event and body, each as long as a line may be
const LINE_BYTES = 64 * 1024 * 1024 // the program's longest line unless it says otherwise
const BACKOFF_MS = { first: 100, most: 5000, steady: 10_000 }
const GATHER_MS = 4
const WRITE_AHEAD = 1024 * 1024 // bytes handed to the stream that the other side has not read yet

const isObject = value => typeof value === 'object' && value !== null

// Is it a message of the protocol, as far as we rely on it?
function isMessage(message) {
  if (!isObject(message)) return false
  const { acceptedUpTo = 0, hello, error = {} } = message
  if (!Number.isInteger(acceptedUpTo) || !isObject(error)) return false
  return hello === undefined || (isObject(hello) && Number.isInteger(hello.acceptedUpTo) && Number.isInteger(hello.lineBytes))
}

class Link {
  #open
  #hello
  #backlog
  #log
  #seldom
  #onSettled
  #helloMs
  #transport
  #closing // the end of a transport that was given up
  #pending = new Map() // id of a question → { resolve, reject, timer }
  #ready = false
  #wanted = false
  #soon = false // the backlog will be written in this turn of the event loop
  #timer // or in some milliseconds
  #flushed = 0
  #held = '' // messages that wait for the end of an event of which a part is written
  #retryMs = BACKOFF_MS.first
  #retryTimer
  #helloTimer
  #heardAt = 0
  #isTroubled = false
  #whenIdle = []
  refused = 0 // events that the program did not take
  connections = 0
  lineBytes = LINE_BYTES
  lastId = 0

  // `open()` gives a transport; `onSettled(id)` hears that nobody needs to wait for an event any more, onLost() that nobody will ever say so.
  constructor({ open, source, session, backlog, log, seldom, onSettled, onLost, helloMs = HELLO_MS }) {
    this.#open = open
    this.#hello = { protocol: PROTOCOL, source, session, acks: 'cumulative' }
    this.#backlog = backlog
    this.#log = log
    this.#seldom = seldom
    this.#helloMs = helloMs
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
    await Promise.all([transport?.close(), this.#closing])
  }

  // Resolves when the program has confirmed every event, or the time is over. Without a connection, one is tried at once.
  drained(limitMs) {
    if (this.#backlog.count === 0) return Promise.resolve()
    this.#retryMs = BACKOFF_MS.first
    this.#connect()
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

  // Replaces the hooks for the events from here on. Rejects with the program's error, whose `mistakes` say what is wrong, or when it says
  // nothing at all for `timeoutMs`: there may be many events before it. Then the old ones stay. Without a connection it is told later, and the
  // configuration must be known to be good.
  async configure(configuration, timeoutMs = 10_000) {
    const backlog = this.#backlog
    if (!this.#ready && backlog.isEmpty) {
      backlog.configuration = configuration
      return {}
    }
    const id = ++this.lastId
    backlog.addConfiguration(id, configuration)
    if (!this.#ready) return {}
    const answer = this.#expect(id, timeoutMs, { silence: true })
    this.kick(true)
    try {
      return await answer
    } catch (error) {
      backlog.revoke(id, ++this.lastId)
      this.kick(true)
      throw error
    }
  }

  #ask(question, timeoutMs) {
    if (!this.#ready) return Promise.reject(new Error('there is no connection to the delivery program'))
    const id = ++this.lastId
    const answer = this.#expect(id, timeoutMs)
    this.#write({ id, ...question })
    return answer
  }

  // The answer to a question, in time; with `silence`, the time counts from the last word of the program on anything.
  #expect(id, timeoutMs, { silence = false } = {}) {
    return new Promise((resolve, reject) => {
      const question = { resolve, reject, timer: undefined }
      const wait = ms => (question.timer = setTimeout(late, ms))
      const late = () => {
        const quietMs = Date.now() - this.#heardAt
        if (silence && quietMs < timeoutMs) return wait(timeoutMs - quietMs)
        this.#pending.delete(id)
        reject(new Error(`the delivery program has not answered within ${timeoutMs / 1e3} s`))
      }
      this.#pending.set(id, question)
      if (timeoutMs !== Infinity) wait(timeoutMs)
    })
  }

  #connect() {
    clearTimeout(this.#retryTimer)
    if (this.#transport !== undefined || !this.#wanted) return
    let transport
    try {
      transport = this.#open()
    } catch (error) {
      return this.#lost(error.message)
    }
    this.#transport = transport
    const lines = new Lines()
    transport.output.setEncoding('utf8').on('data', text => {
      if (transport === this.#transport) this.#read(lines, text)
    })
    transport.input.on('drain', this.#flush)
    transport.onEnd(reason => {
      if (transport === this.#transport) this.#lost(reason)
    })
    this.#helloTimer = setTimeout(() => this.#withoutHello(transport), this.#helloMs).unref()
    this.#write({ hello: this.#hello })
  }

  #read(lines, text) {
    const transport = this.#transport
    this.#heardAt = Date.now()
    for (const line of lines.add(text)) {
      this.#answer(line)
      if (transport !== this.#transport) return
    }
    if (lines.length > (this.#ready ? ANSWER_LENGTH_MAX : HELLO_LENGTH_MAX)) this.#giveUp('a line without an end was received')
  }

  // Our own child may have much to read before it answers, and its end is seen; what a service waits for is not known.
  #withoutHello(transport) {
    const reason = `it has not said hello within ${this.#helloMs / 1e3} s`
    if (transport.isOwn) this.#complain(`${reason}; waiting for it`)
    else this.#giveUp(reason)
  }

  // Ends a connection that is of no use.
  #giveUp(reason) {
    this.#closing = this.#transport.close({ atOnce: true })
    this.#lost(reason, this.#closing)
  }

  // After `ended`, the connection is made again.
  #lost(reason, ended = Promise.resolve()) {
    const steady = this.#ready && Date.now() - this.readyAt > BACKOFF_MS.steady
    clearTimeout(this.#helloTimer)
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
    if (!this.#wanted) return
    this.#complain(`${reason}; trying again`)
    if (steady) this.#retryMs = BACKOFF_MS.first
    const waitMs = this.#retryMs
    this.#retryMs = Math.min(waitMs * 2, BACKOFF_MS.most)
    ended.then(() => {
      if (this.#wanted) this.#retryTimer = setTimeout(() => this.#connect(), waitMs).unref()
    })
  }

  #complain(what) {
    this.#isTroubled = true
    this.#seldom.warn('connection', `no connection to the delivery program: ${what}, events wait in memory`)
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
      // told as what is no message
    }
    if (!isMessage(message)) return this.#giveUp(`what was received is no message of xo-hooks: ${line.slice(0, 200)}`)
    const { id, acceptedUpTo, hello, settled, error } = message
    if (acceptedUpTo !== undefined) this.#confirm(acceptedUpTo)
    else if (settled !== undefined) this.#onSettled(id)
    else if (hello !== undefined) this.#welcome(hello)
    else if (this.#backlog.waitsFor(id)) this.#configured(id, message)
    else if (this.#pending.has(id)) this.#resolve(id, message)
    else if (error !== undefined) this.#refused(id, error)
  }

  #configured(id, message) {
    const { error } = message
    this.#backlog.settle(error === undefined)
    if (this.#pending.has(id)) this.#resolve(id, message)
    else if (error !== undefined) this.#refusedConfiguration(error)
    this.#flush()
  }

  #refusedConfiguration({ message }) {
    this.#log.error(`the delivery program refused the configuration: ${message}`)
  }

  #resolve(id, { error, result, warnings }) {
    const { resolve, reject, timer } = this.#pending.get(id)
    this.#pending.delete(id)
    clearTimeout(timer)
    if (error === undefined) resolve(result ?? { warnings })
    else reject(Object.assign(new Error(error.message), error))
  }

  #refused(id, { code, message }) {
    if (id !== undefined) {
      if (!this.#backlog.drop(id)) return // an answer that came late
      this.#onSettled(id)
      if (this.#backlog.count === 0) this.#idle()
    }
    this.refused++
    this.#log.error(`the delivery program refused ${id === undefined ? 'a line' : `event ${id}`}: ${code}: ${message}`)
  }

  // The first answer: from here on the connection is of use. The configuration goes first, then what was not confirmed.
  #welcome({ acceptedUpTo, lineBytes, version }) {
    clearTimeout(this.#helloTimer)
    this.#confirm(acceptedUpTo)
    this.lineBytes = lineBytes
    this.#ready = true
    this.readyAt = Date.now()
    this.connections++
    if (this.#isTroubled && this.#seldom.warn('connected', `connected to the delivery program ${version} again`)) this.#seldom.flush()
    this.#isTroubled = false
    this.#ask({ configure: this.#backlog.configuration }, Infinity).catch(error => {
      if (this.#ready) this.#refusedConfiguration(error)
    })
    this.#flush()
  }
}

module.exports = { Link }
