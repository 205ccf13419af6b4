// A running `xo-hooks serve` on a private folder, and a source that talks to it.
import { writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'

import { cleanUp, deferred, run, start, tempFolder, until } from './program.mjs'

export const hook = (method, type, url, more = {}) => ({ method, type, url, format: 'json', ...more })

export const event = (method, type = 'post', more = {}) => ({
  callId: 'c1',
  userId: 'u1',
  userName: 'admin@admin.net',
  method,
  params: { id: '67aac198' },
  timestamp: 1795457437249,
  ...(type === 'post' ? { duration: 2, result: true } : {}),
  ...more,
  type,
})

export class Serve {
  constructor(t, hooks, options = {}) {
    this.t = t
    this.folder = options.folder ?? tempFolder(t)
    this.data = join(this.folder, 'data')
    this.config = join(this.folder, 'hooks.json')
    this.options = options
    this.write(hooks)
  }

  write(hooks) {
    writeFileSync(this.config, JSON.stringify({ hooks }))
  }

  async start() {
    const { args = [], env, preset } = this.options
    this.process = start(this.t, ['serve', '--data', this.data, '--config', this.config, ...args], { env, preset })
    await this.process.waitFor(/ serves, process /)
    return this
  }

  get socket() {
    return join(this.data, 'xo-hooks.sock')
  }

  stop(signal) {
    return this.process.stop(signal)
  }

  // Runs another command on the same folder.
  command(name, ...args) {
    return run([name, '--data', this.data, ...args])
  }

  async json(name, ...args) {
    const { status, stdout, stderr } = await this.command(name, '--json', ...args)
    if (status !== 0) throw new Error(`xo-hooks ${name} ended with ${status}: ${stderr}`)
    return JSON.parse(stdout)
  }

  async log(...args) {
    const { stdout } = await this.command('log', '--json', '-n', '1000', ...args)
    return stdout.split('\n').filter(Boolean).map(JSON.parse)
  }

  // Waits until as many deliveries have that status.
  settled(status, count) {
    return until(`${count} deliveries ${status}`, async () => {
      const found = (await this.log()).filter(one => one.status === status)
      return found.length >= count && found
    })
  }

  // Waits until as many deliveries have ended, one way or the other.
  settledAll(count) {
    return until(`${count} deliveries ended`, async () => {
      const found = (await this.log()).filter(({ status }) => status === 'delivered' || status === 'dead')
      return found.length >= count && found
    })
  }

  async source(hello) {
    const source = new Source(this.socket)
    cleanUp(this.t, () => source.close())
    await source.open(hello)
    return source
  }
}

export async function serve(t, hooks, options) {
  return new Serve(t, hooks, options).start()
}

// A connection to the socket, one JSON value a line.
export class Source {
  lines = []
  #waiting = new Set()
  #rest = ''
  #taken = 0

  constructor(path) {
    this.path = path
  }

  async open(hello) {
    this.socket = connect(this.path)
    this.socket.setEncoding('utf8').on('data', text => {
      const lines = (this.#rest + text).split('\n')
      this.#rest = lines.pop()
      this.lines.push(...lines.map(line => JSON.parse(line)))
      for (const check of [...this.#waiting]) check()
    })
    this.closed = new Promise(resolve => this.socket.once('close', resolve))
    this.closed.then(() => {
      this.isClosed = true
      for (const check of [...this.#waiting]) check()
    })
    this.socket.on('error', () => {})
    await new Promise((resolve, reject) => this.socket.once('connect', resolve).once('error', reject))
    if (hello !== undefined) {
      this.send({ hello: { protocol: 1, ...hello } })
      this.hello = (await this.next()).hello
    }
  }

  send(value) {
    this.raw(JSON.stringify(value) + '\n')
  }

  raw(bytes) {
    this.socket.write(bytes)
  }

  // The first line that was not taken before and fits; fails at once when the connection ends without it.
  find(what, fits, limitMs = 20_000) {
    const d = deferred()
    const done = (settle, value) => {
      clearTimeout(timer)
      this.#waiting.delete(check)
      settle(value)
    }
    const check = () => {
      const found = this.lines.find(fits)
      if (found) done(d.resolve, found)
      else if (this.isClosed) done(d.reject, new Error(`the connection ended without ${what}; got ${JSON.stringify(this.lines)}`))
    }
    const timer = setTimeout(() => done(d.reject, new Error(`not within ${limitMs} ms: ${what}; got ${JSON.stringify(this.lines)}`)), limitMs)
    this.#waiting.add(check)
    check()
    return d.promise
  }

  async next(limitMs) {
    const index = this.#taken++
    await this.find(`line ${index + 1}`, () => this.lines.length > index, limitMs)
    return this.lines[index]
  }

  answer(id, limitMs) {
    return this.find(`an answer to ${id}`, line => line.id === id, limitMs)
  }

  call(name, params = {}, limitMs) {
    const id = (this.lastCall = (this.lastCall ?? 1_000_000) + 1)
    this.send({ id, call: name, params })
    return this.answer(id, limitMs).then(({ result, error }) => {
      if (error) throw Object.assign(new Error(error.message), error)
      return result
    })
  }

  close() {
    this.socket.destroy()
  }
}
