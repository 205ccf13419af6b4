'use strict'

// Web hooks as a plugin sends them that stays in the host's process: from memory, at once, once. Written to be as cheap as that can be: one
// look-up a method, one serialisation for all hooks of an event, kept-alive connections, answers not read.

const TIMEOUT_MS = 10_000

class FetchWebHooks {
  #xo
  #table = new Map() // method → { pre: [url], post: [url] }
  failed = 0

  constructor({ xo }) {
    this.#xo = xo
  }

  configure({ hooks }) {
    this.#table.clear()
    for (const { method, type, url } of hooks) {
      const entry = this.#table.get(method) ?? { pre: [], post: [] }
      for (const one of type.split('/')) entry[one].push(url)
      this.#table.set(method, entry)
    }
  }

  load() {
    this.#xo.on('xo:preCall', this.#onPre)
    this.#xo.on('xo:postCall', this.#onPost)
  }

  unload() {
    this.#xo.removeListener('xo:preCall', this.#onPre)
    this.#xo.removeListener('xo:postCall', this.#onPost)
  }

  #onPre = data => this.#send('pre', data)
  #onPost = data => this.#send('post', data)

  #send(type, data) {
    const urls = this.#table.get(data.method)?.[type]
    if (urls === undefined || urls.length === 0) return
    const body = JSON.stringify({ ...data, type })
    for (const url of urls) this.#post(url, body)
  }

  async #post(url, body) {
    try {
      const answer = await fetch(url, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body,
        redirect: 'error',
        signal: AbortSignal.timeout(TIMEOUT_MS),
      })
      await answer.body?.cancel()
      if (!answer.ok) this.failed++
    } catch {
      this.failed++
    }
  }
}

module.exports = options => new FetchWebHooks(options)
module.exports.configurationSchema = { type: 'object', properties: { hooks: { type: 'array', items: { type: 'object' } } }, required: ['hooks'] }
