// Helpers of the tests that drive the real program. Nothing here sleeps for a guessed time: everything waits for a
// line, a request or an exit, with a limit that fails the test and shows what was printed.
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))

const LIMIT_MS = 20_000

// The path of the program as a preset built it. XH_PRESET=asan-ubsan runs every test with that build.
export function program(preset = process.env.XH_PRESET || 'release') {
  const path = join(root, 'build', preset, 'xo-hooks')
  if (!existsSync(path)) throw new Error(`${path} is missing: run ./dev build ${preset}`)
  return path
}

export function deferred() {
  const d = {}
  d.promise = new Promise((resolve, reject) => Object.assign(d, { resolve, reject }))
  return d
}

// Polls `probe` until it returns something truthy (or resolves to it); fails after `limitMs` with `what`.
export async function until(what, probe, limitMs = LIMIT_MS) {
  const end = Date.now() + limitMs
  for (;;) {
    const value = await probe()
    if (value) return value
    if (Date.now() > end) throw new Error(`not within ${limitMs} ms: ${what}`)
    await new Promise(resolve => setTimeout(resolve, 10))
  }
}

const cleanups = new WeakMap() // test → what is to be done after it

// Cleans up after a test: what was made last goes first (a folder after the program that writes to it), and whatever fails, the rest is done.
export function cleanUp(t, clean) {
  if (!t) return
  let list = cleanups.get(t)
  if (!list) {
    cleanups.set(t, (list = []))
    t.after(async () => {
      const errors = []
      while (list.length) {
        try {
          await list.pop()()
        } catch (error) {
          errors.push(error)
        }
      }
      if (errors.length) throw errors[0]
    })
  }
  list.push(clean)
}

// A private folder, removed after the test.
export function tempFolder(t, prefix = 'xo-hooks-') {
  const folder = mkdtempSync(join(tmpdir(), prefix))
  cleanUp(t, () => rmSync(folder, { recursive: true, force: true, maxRetries: 10 }))
  return folder
}

class Running {
  stdout = [] // complete lines
  stderr = []
  #changed = new Set()
  #rest = { stdout: '', stderr: '' }

  constructor(command, args, { env, cwd, stdio, detached }) {
    this.args = args
    this.proc = spawn(command, args, { cwd, detached, env: { ...process.env, ...env }, stdio: stdio ?? ['pipe', 'pipe', 'pipe'] })
    this.pid = this.proc.pid
    this.proc.stdin?.on('error', () => {}) // it may end before it has read everything; tests look at the outcome
    for (const stream of ['stdout', 'stderr']) this.#listen(stream)
    this.exit = new Promise((resolve, reject) => {
      this.proc.on('error', reject)
      this.proc.on('close', (code, signal) => {
        for (const stream of ['stdout', 'stderr'])
          if (this.#rest[stream]) this[stream].push(this.#rest[stream])
        this.ended = { code, signal }
        resolve(this.ended)
        this.#notify()
      })
    })
    this.exit.catch(() => {})
  }

  #listen(stream) {
    this.proc[stream]?.setEncoding('utf8').on('data', chunk => {
      const lines = (this.#rest[stream] + chunk).split('\n')
      this.#rest[stream] = lines.pop()
      this[stream].push(...lines)
      this.#notify()
    })
  }

  #notify() {
    for (const check of [...this.#changed]) check()
  }

  // How often its threads have gone from waiting to work.
  wakeUps() {
    let sum = 0
    for (const task of readdirSync(`/proc/${this.pid}/task`))
      sum += Number(readFileSync(`/proc/${this.pid}/task/${task}/status`, 'utf8').match(/^voluntary_ctxt_switches:\s+(\d+)/m)[1])
    return sum
  }

  said() {
    return `xo-hooks ${this.args.join(' ')}\nstdout:\n${this.stdout.join('\n')}\nstderr:\n${this.stderr.join('\n')}`
  }

  // The match of the first line (of either stream, from line `from` of each) that fits `pattern`.
  waitFor(pattern, { limitMs = LIMIT_MS, from = 0 } = {}) {
    return this.waitUntil(
      `a line like ${pattern}`,
      () => {
        for (const line of [...this.stdout.slice(from), ...this.stderr.slice(from)]) {
          const match = line.match(pattern)
          if (match) return match
        }
      },
      limitMs
    )
  }

  // Looks at `probe` again with each line printed.
  waitUntil(what, probe, limitMs = LIMIT_MS) {
    const d = deferred()
    const done = (settle, value) => {
      clearTimeout(timer)
      this.#changed.delete(check)
      settle(value)
    }
    const check = () => {
      const value = probe()
      if (value) done(d.resolve, value)
      else if (this.ended) done(d.reject, new Error(`ended (${JSON.stringify(this.ended)}) without ${what}:\n${this.said()}`))
    }
    const timer = setTimeout(() => done(d.reject, new Error(`not within ${limitMs} ms: ${what}:\n${this.said()}`)), limitMs)
    this.#changed.add(check)
    check()
    return d.promise
  }

  // Sends a signal and waits for the end; kill -9 when it does not come. Returns { code, signal }.
  async stop(signal = 'SIGTERM', limitMs = LIMIT_MS) {
    if (this.ended) return this.ended
    this.proc.kill(signal)
    const timer = setTimeout(() => this.proc.kill('SIGKILL'), limitMs)
    const ended = await this.exit
    clearTimeout(timer)
    return ended
  }
}

// Starts the program; it is ended after the test if it still runs. `t` may be null (benchmarks end it themselves).
export function start(t, args, { preset, command, ...options } = {}) {
  const running = new Running(command ?? program(preset), args, options)
  cleanUp(t, async () => {
    await running.stop(process.env.XH_END_SIGNAL || 'SIGKILL') // SIGTERM lets it write its coverage down
  })
  return running
}

// Runs the program to its end: { status, signal, stdout, stderr }.
export async function run(args, { preset, command, input = '', limitMs = LIMIT_MS, ...options } = {}) {
  const running = new Running(command ?? program(preset), args, options)
  running.proc.stdin?.end(input)
  const timer = setTimeout(() => running.proc.kill('SIGKILL'), limitMs)
  const { code, signal } = await running.exit
  clearTimeout(timer)
  const text = lines => lines.map(line => line + '\n').join('')
  return { status: code, signal, stdout: text(running.stdout), stderr: text(running.stderr) }
}

// A recording HTTP server on a port of its own. `handler(request, res)` answers (default: 200 and nothing); the
// request is { method, url, headers, body (Buffer), text, json }. `next()` resolves with the first request that was not
// taken before, in order of arrival.
export async function httpTarget(t, handler = (request, res) => res.end(), options = {}) {
  const requests = []
  const waiting = []
  let taken = 0
  const server = (options.createServer ?? createServer)((req, res) => {
    const chunks = []
    req.on('data', chunk => chunks.push(chunk))
    req.on('end', () => {
      const body = Buffer.concat(chunks)
      const request = {
        method: req.method,
        url: req.url,
        headers: req.headers,
        body,
        text: body.toString(),
        at: Date.now(),
        get json() {
          return JSON.parse(this.text)
        },
      }
      requests.push(request)
      handler(request, res)
      for (const check of [...waiting]) check()
    })
  })
  server.keepAliveTimeout = 60_000
  await new Promise((resolve, reject) => server.once('error', reject).listen(options.port ?? 0, options.host ?? '127.0.0.1', resolve))
  const { port } = server.address()
  const close = () => {
    server.closeAllConnections()
    return new Promise(resolve => server.close(resolve))
  }
  cleanUp(t, close)
  const count = (n, limitMs = LIMIT_MS) => {
    const d = deferred()
    const done = (settle, value) => {
      clearTimeout(timer)
      waiting.splice(waiting.indexOf(check), 1)
      settle(value)
    }
    const check = () => requests.length >= n && done(d.resolve, requests)
    const timer = setTimeout(
      () => done(d.reject, new Error(`${requests.length} of ${n} requests within ${limitMs} ms`)),
      limitMs
    )
    waiting.push(check)
    check()
    return d.promise
  }
  const next = async limitMs => {
    const index = taken++
    return (await count(index + 1, limitMs))[index]
  }
  return { url: `http://127.0.0.1:${port}/`, port, server, requests, count, next, close }
}

// A port that takes no connection and refuses none: its queue is full.
export async function fullPort(t) {
  const script = `
import socket, sys
listener = socket.socket()
listener.bind(('127.0.0.1', 0))
listener.listen(0)
clients = [socket.socket() for _ in range(3)]
for client in clients:
    client.setblocking(False)
    client.connect_ex(listener.getsockname())
print('port', listener.getsockname()[1], flush=True)
sys.stdin.read()`
  const [, port] = await start(t, ['-c', script], { command: 'python3' }).waitFor(/port (\d+)/)
  return Number(port)
}
