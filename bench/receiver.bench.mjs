// The receiver, side by side with the example of Xen Orchestra's documentation (seed_receiver.mjs) and Debian's `webhook`, in interleaved
// rounds: requests a second without and with a script, memory under open connections. Load by wrk. Options: --rounds N (5), --seconds N (2).
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs, promisify } from 'node:util'

import { root, start } from '../tests/lib/program.mjs'

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '5' }, seconds: { type: 'string', default: '2' } } })
const ROUNDS = Number(values.rounds)
const CONNECTIONS = 16
const OPEN = 1000
const folder = mkdtempSync(join(tmpdir(), 'xo-hooks-bench-'))
const sink = openSync('/dev/null', 'w') // their lines; stderr tells when they listen
const EVENT = JSON.stringify({ callId: 'l0d7wz3g', userId: '2b4c', userName: 'admin@admin.net', method: 'vm.start', params: { id: '67aac198-0174-11ea-8d71-362b9e155667' }, timestamp: 1795457437249, duration: 214, result: true, type: 'post' })

const say = (name, text) => console.log(`${name.padEnd(46)} ${text}`)
const median = list => [...list].sort((a, b) => a - b)[list.length >> 1]

mkdirSync(join(folder, 'hook-scripts'))
symlinkSync('/bin/true', join(folder, 'hook-scripts', 'vm.start-post.sh'))

async function freePort() {
  const server = createServer()
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address()
  await new Promise(resolve => server.close(resolve))
  return port
}

async function ready(port) {
  for (;;) {
    const open = await new Promise(resolve => {
      const socket = connect(port, '127.0.0.1', () => resolve(socket.destroy() && true)).on('error', () => resolve(false))
    })
    if (open) return
    await new Promise(resolve => setTimeout(resolve, 10))
  }
}

async function launch(args, path, options = {}) {
  const port = await freePort()
  const process = start(null, args(String(port)), { cwd: folder, stdio: ['ignore', sink, 'pipe'], ...options })
  await ready(port)
  return {
    port,
    url: `http://127.0.0.1:${port}${path}`,
    rssMiB: () => Number(readFileSync(`/proc/${process.pid}/status`, 'utf8').match(/VmRSS:\s+(\d+)/)[1]) / 1024,
    stop: () => process.stop('SIGKILL'),
  }
}

// One hook whose command runs when the event's type is `type`; the answer comes after the command.
function webhook(type) {
  const file = join(folder, `hooks-${type}.json`)
  const rule = { match: { type: 'value', value: type, parameter: { source: 'payload', name: 'type' } } }
  writeFileSync(file, JSON.stringify([{ id: 'hook', 'execute-command': '/bin/true', 'include-command-output-in-response': true, 'trigger-rule': rule }]))
  return () => launch(port => ['-hooks', file, '-ip', '127.0.0.1', '-port', port], '/hooks/hook', { command: '/usr/bin/webhook' })
}
const seed = mode => () => launch(port => [join(root, 'bench/seed_receiver.mjs'), port, mode], '/', { command: 'node' })
const ours = (...args) => () => launch(port => ['listen', '--port', port, ...args], '/')

async function rate({ url }) {
  const args = ['-t1', `-c${CONNECTIONS}`, `-d${values.seconds}s`, '-s', join(root, 'bench/post.lua'), url]
  const { stdout } = await promisify(execFile)('wrk', args, { env: { ...process.env, EVENT } })
  if (/Non-2xx|Socket errors/.test(stdout)) throw new Error(`${url}: ${stdout}`)
  return Number(stdout.match(/Requests\/sec:\s+([\d.]+)/)[1])
}

// Resident with OPEN connections, each of which has had one answer and stays.
async function memory({ port, url, rssMiB }) {
  const request = `POST ${new URL(url).pathname} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${EVENT.length}\r\n\r\n${EVENT}`
  const sockets = await Promise.all(
    Array.from({ length: OPEN }, () => new Promise((resolve, reject) => {
      const socket = connect(port, '127.0.0.1', () => socket.write(request)).on('error', reject)
      socket.once('data', data => (String(data).startsWith('HTTP/1.1 200') ? resolve(socket) : reject(new Error(String(data)))))
      socket.once('close', () => reject(new Error('closed')))
    }))
  )
  const resident = rssMiB()
  for (const socket of sockets) socket.destroy()
  return resident
}

async function compare(receivers, measure) {
  const figures = Object.fromEntries(Object.keys(receivers).map(name => [name, []]))
  for (let round = 0; round < ROUNDS; round++)
    for (const [name, launch] of Object.entries(receivers)) {
      const receiver = await launch()
      figures[name].push(await measure(receiver).finally(receiver.stop))
    }
  return Object.fromEntries(Object.entries(figures).map(([name, list]) => [name, median(list)]))
}

try {
  const plain = await compare({ ours: ours('--no-scripts'), seed: seed('--no-scripts'), webhook: webhook('never') }, rate)
  const better = Math.max(plain.seed, plain.webhook)
  say('requests without scripts', `${plain.ours.toFixed(0)}/s, ${(plain.ours / better).toFixed(2)} of the better (seed ${plain.seed.toFixed(0)}/s, webhook ${plain.webhook.toFixed(0)}/s); wanted 1`)
  const scripts = await compare({ ours: ours('--wait'), seed: seed('--wait'), webhook: webhook('post') }, rate)
  say('requests with /bin/true for each', `${scripts.ours.toFixed(0)}/s, ${(scripts.ours / scripts.seed).toFixed(2)} of the seed's (${scripts.seed.toFixed(0)}/s; webhook ${scripts.webhook.toFixed(0)}/s); wanted 4`)
  const open = await compare({ ours: ours('--no-scripts'), seed: seed('--no-scripts'), webhook: webhook('never') }, memory)
  say(`resident with ${OPEN} open connections`, `${open.ours.toFixed(1)} MiB (seed ${open.seed.toFixed(1)} MiB, webhook ${open.webhook.toFixed(1)} MiB)`)
} finally {
  rmSync(folder, { recursive: true, force: true })
}
