'use strict'

// The host's logger, found from here or, for a folder that is only linked into the host, from the host's main script.
// Out of its reach (another host, tests) lines go to standard error: the plugin needs no package of its own.
function makeLog() {
  try {
    const path = require.resolve('@xen-orchestra/log', { paths: [__dirname, process.argv[1] ?? __dirname] })
    return require(path).createLogger('xo:web-hooks')
  } catch {
    const write = level => message => console.error(`[web-hooks] ${level}: ${message}`)
    return { debug: () => {}, info: write('info'), warn: write('warning'), error: write('error') }
  }
}

const KINDS_MAX = 1000

// Says the first of a kind of trouble at once and then at most one line a minute, with how often it came meanwhile. What was held back
// when it ended is said too, after the minute or by flush().
class Seldom {
  #log
  #periodMs
  #kinds = new Map() // kind → { level, message (the last one held back), count }

  constructor(log, periodMs = 60_000) {
    this.#log = log
    this.#periodMs = periodMs
  }

  // Returns whether it was said.
  say(level, kind, message) {
    const held = this.#kinds.get(kind)
    if (held !== undefined) {
      Object.assign(held, { level, message, count: held.count + 1 })
      return false
    }
    this.#log[level](message)
    if (this.#kinds.size < KINDS_MAX) this.#begin(kind)
    return true
  }

  warn(kind, message) {
    return this.say('warn', kind, message)
  }

  flush() {
    for (const held of this.#kinds.values()) this.#tell(held)
  }

  #begin(kind) {
    const end = () => {
      this.#kinds.delete(kind)
      if (this.#tell(held)) this.#begin(kind)
    }
    const held = { count: 0 }
    this.#kinds.set(kind, held)
    setTimeout(end, this.#periodMs).unref()
  }

  #tell(held) {
    const { level, message, count } = held
    if (count === 0) return false
    held.count = 0
    this.#log[level](`${message} (${count} ${count === 1 ? 'time' : 'times'} since it was last said)`)
    return true
  }
}

module.exports = { makeLog, Seldom }
