// A running `xo-hooks listen` on a port of its own, and clients for it.
import { createHmac } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { connect } from 'node:net'
import { dirname, join } from 'node:path'
import { connect as tlsConnect } from 'node:tls'

import { program, run, start, tempFolder, until } from './program.mjs'

// Makes the files of `files` ({ name: text }), executable unless the name ends in "!" (which is taken off).
export function writeScripts(folder, files) {
  for (const [name, text] of Object.entries(files)) {
    const path = join(folder, name.replace(/!$/, ''))
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, text, { mode: name.endsWith('!') ? 0o644 : 0o755 })
  }
  return folder
}

export const scriptFolder = (t, files) => writeScripts(tempFolder(t, 'xo-hooks-scripts-'), files)

// Starts `listen` with JSON lines. { url, port, process, lines(), line(test), post(...), stop() }
export async function listen(t, args = [], options = {}) {
  const cwd = options.cwd ?? tempFolder(t)
  // `wrap`: a command that the program is run through, [command, ...arguments].
  const [command, ...before] = options.wrap ? [...options.wrap, program(options.preset)] : []
  const process = start(t, [...before, 'listen', '--port', '0', '--json', ...args], { command, ...options, cwd })
  const [, url, port] = await process.waitFor(/listening on (https?:\/\/\S+:(\d+))/)
  await process.waitFor(/scripts in |no scripts are run/) // all that is said at the start about who may in has been said
  const lines = () => process.stdout.map(line => JSON.parse(line))
  return {
    url: `${url}/`,
    port: Number(port),
    process,
    cwd,
    lines,
    // The first line (as an object) for which `test` holds, waited for.
    line: (what, test, limitMs) => process.waitUntil(what, () => lines().find(test), limitMs),
    count: (what, test, n, limitMs) =>
      process.waitUntil(`${n} × ${what}`, () => lines().filter(test).length >= n && lines().filter(test), limitMs),
    post: (body, headers, more) => post(`${url}/`, body, headers, more),
    stop: signal => process.stop(signal),
  }
}

// One request: { status, headers, text, json }. `body` is text, a buffer, or an object to serialise.
export function post(url, body, headers = {}, { method = 'POST', ca, agent, path } = {}) {
  const target = new URL(url)
  const bytes = typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body)
  return new Promise((resolve, reject) => {
    const request = (target.protocol === 'https:' ? httpsRequest : httpRequest)(
      { host: target.hostname, port: target.port, path: path ?? target.pathname + target.search, method, ca, agent: agent ?? false, headers: { 'content-type': 'application/json', ...headers } },
      response => {
        const chunks = []
        response.on('data', chunk => chunks.push(chunk))
        response.on('error', reject)
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString()
          resolve({
            status: response.statusCode,
            headers: response.headers,
            text,
            get json() {
              return JSON.parse(text)
            },
          })
        })
      }
    )
    request.on('error', reject)
    request.end(bytes)
  })
}

// A raw connection: sends `text`, resolves with all that came back once the other side closes, and how long it took. `trickle` is sent every 20 ms
// until then, `after` once the first answer is there. `ca`: over TLS. `socket` of the promise is the connection.
export function raw(port, text, { trickle, after, ca } = {}) {
  const began = Date.now()
  let timer
  const open = () => {
    socket.write(text)
    if (trickle) timer = setInterval(() => socket.write(trickle), 20)
  }
  const socket = ca ? tlsConnect({ port, host: '127.0.0.1', ca }, open) : connect(port, '127.0.0.1', open)
  const promise = new Promise((resolve, reject) => {
    const limit = setTimeout(() => reject(new Error('not closed within 20 s')), 20_000)
    let got = ''
    socket.on('data', chunk => {
      if (!got && after) socket.write(after)
      got += chunk
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      clearInterval(timer)
      clearTimeout(limit)
      resolve({ got, ms: Date.now() - began })
    })
  })
  return Object.assign(promise, { socket })
}

// The head of a request with a JSON body.
export const rawHead = (...more) => ['POST / HTTP/1.1', 'Host: x', 'Content-Type: application/json', ...more, '\r\n'].join('\r\n')

// The key of a secret as Standard Webhooks and xo-hooks read it.
export const keyOf = secret => (secret.startsWith('whsec_') ? Buffer.from(secret.slice(6), 'base64') : Buffer.from(secret))

// The three headers of Standard Webhooks, computed here and not by what is tested.
export function signed(secret, body, { id = `msg_${Math.random().toString(16).slice(2)}`, at = Math.floor(Date.now() / 1000) } = {}) {
  const text = typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body)
  const mac = createHmac('sha256', keyOf(secret)).update(`${id}.${at}.`).update(text).digest('base64')
  return { 'webhook-id': id, 'webhook-timestamp': String(at), 'webhook-signature': `v1,${mac}` }
}

// Delivers events with the real sender: `xo-hooks send --config`. Resolves with its counts and exit status.
export async function send(t, url, events, advanced = {}, more = {}) {
  const folder = tempFolder(t)
  const config = join(folder, 'hooks.json')
  writeFileSync(config, JSON.stringify({ hooks: [{ method: '*', type: 'pre/post', url, format: 'json', advanced: { retry: { schedule: [0] }, ...advanced }, ...more }] }))
  const input = events.map(event => JSON.stringify(event) + '\n').join('')
  const { status, stdout, stderr } = await run(['send', '--json', '--config', config], { input })
  if (!stdout) throw new Error(`xo-hooks send ended with ${status}: ${stderr}`)
  return { status, ...JSON.parse(stdout) }
}

// The jobs of a spool, as `xo-hooks spool list` says.
export async function spoolList(folder, ...args) {
  const { status, stdout, stderr } = await run(['spool', 'list', '--spool', folder, '--json', ...args])
  if (status !== 0) throw new Error(`xo-hooks spool list ended with ${status}: ${stderr}`)
  return stdout.split('\n').filter(Boolean).map(line => JSON.parse(line))
}

export const spoolEmpty = folder => until('an empty spool', async () => (await spoolList(folder)).length === 0)
