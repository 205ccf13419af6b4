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

// Says the first of a kind of trouble at once and then at most one line a minute, with how often it came meanwhile.
class Seldom {
  #log
  #last = -Infinity
  #since = 0

  constructor(log) {
    this.#log = log
  }

  warn(message) {
    this.#since++
    const now = Date.now()
    if (now - this.#last < 60_000) return
    this.#log.warn(this.#since > 1 ? `${message} (${this.#since} times)` : message)
    this.#last = now
    this.#since = 0
  }
}

module.exports = { makeLog, Seldom }
